"""The kernels of encodings of factors equal numpy: points, lattices and gradients; and their steps equal autograd."""

import numpy as np
import pytest
from field_cases import FACTORED, make_field, suits

pytest.importorskip("numba", reason="the kernels need numba")

from nfcodec.kernels import factors  # noqa: E402

CASES = [(name, d) for name in FACTORED for d in (2, 3, 4) if suits(name, d)]
EXTENTS = {2: (13, 70), 3: (9, 7, 21), 4: (3, 5, 4, 18)}


def make(d, name, interpolation="cubic", **settings):
    """A field with a level of one vertex an axis, one of odd sizes and one as fine as its extent."""
    resolutions = ((1,) * d, (2, 5, 3, 4)[:d], EXTENTS[d])
    return make_field(
        encoding=name, interpolation=interpolation, extent=EXTENTS[d], resolutions=resolutions, n_features=(2, 1, 3), **settings
    )


@pytest.fixture
def both(monkeypatch):
    """both(call): what call() gives with the kernels and with numpy."""

    def run(call):
        monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
        plain = call()
        monkeypatch.setenv("NFCODEC_KERNELS", "numba")
        return call(), plain

    return run


def assert_close(fast, plain):
    """Within a quarter of the tolerance of spec/format.md, section 7."""
    assert fast.shape == plain.shape and fast.dtype == plain.dtype and plain.std() > 1e-3
    np.testing.assert_allclose(fast, plain, rtol=0, atol=max(1.5, np.abs(plain).max()) * 2.0**-16)


def points(d, n=130):
    """Points in and around the box, some at its ends."""
    coords = np.random.default_rng(d).uniform(-0.3, 1.3, (n, d))
    coords[:1], coords[1:2] = 0.0, 1.0
    return coords


@pytest.mark.parametrize("name, d", CASES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "smoothstep", "mitchell"])
@pytest.mark.parametrize("level", [None, 1])
def test_points_and_lattices(name, d, interpolation, level, both):
    field = make(d, name, interpolation, **({"joining": "concatenation"} if name == "triplane" and level else {}))
    assert_close(*both(lambda: field.sample(points(d), level)))
    axes = [np.linspace(-0.1, 1.1, n) for n in (6, 9, 7, 21)[-d:]]
    assert_close(*both(lambda: field.sample_lattice(axes, level)))


@pytest.mark.parametrize("name, d", CASES)
def test_gradients(name, d, both):
    field = make(d, name)
    fast, plain = both(lambda: field.gradient(points(d)))
    scale = np.abs(plain).max()
    np.testing.assert_allclose(fast, plain, rtol=0, atol=scale * 2.0**-14)
    assert np.abs(plain).mean() > 0.01 * scale


@pytest.mark.parametrize("name", ["vm", "kplanes"])
def test_boundaries(name, both):
    field = make(3, name, boundary=("wrap", "clamp", "reflect"))
    coords = points(3)
    assert_close(*both(lambda: field.sample(coords)))
    assert_close(*both(lambda: field.sample(np.clip(coords, 0, 1))))


def test_blocks_of_a_lattice_share_factors_or_have_their_own(both, monkeypatch):
    field, axes = make(3, "vm"), [np.linspace(0, 1, n) for n in (20, 90, 70)]
    shared, plain = both(lambda: field.sample_lattice(axes))
    monkeypatch.setattr(factors, "_MOST_WHOLE", 0)
    own, _ = both(lambda: field.sample_lattice(axes))
    assert_close(shared, plain)
    assert_close(own, plain)
