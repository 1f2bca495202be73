"""The kernels of fields equal numpy: points and lattices of every encoding, and what threads, sizes and limits change."""

import itertools
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from field_cases import COMBINATIONS, make_field, make_frozen, make_spec
from kernel_cases import assert_close, points

pytest.importorskip("numba", reason="the kernels need numba")

from nfcodec import evaluate  # noqa: E402
from nfcodec.encodings import interpolate, load  # noqa: E402
from nfcodec.errors import UsageError  # noqa: E402
from nfcodec.evaluate import Evaluation  # noqa: E402
from nfcodec.kernels import taps, threads  # noqa: E402
from nfcodec.kernels.evaluate import Evaluator  # noqa: E402

EXTENTS = {1: (37,), 2: (13, 70), 3: (9, 7, 11), 4: (3, 5, 4, 6)}


def make(d, encoding="dense", interpolation="cubic", **settings):
    """A field with a level of one vertex an axis, one of odd sizes and one as fine as its extent."""
    extent = EXTENTS[d]
    resolutions = ((1,) * d, (2, 5, 3, 4)[:d], extent)
    return make_field(
        encoding=encoding, interpolation=interpolation, extent=extent, resolutions=resolutions,
        **{"n_features": (2, 1, 3), **settings},
    )  # fmt: skip


# ---------------------------------------------------------------- points


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("level", [None, 0, 1])
def test_points(encoding, interpolation, d, level, both):
    field = make(d, encoding, interpolation)
    fast, plain = both(lambda: field.sample(points(d, 130), level))
    assert plain.std() > 0.01
    assert_close(fast, plain)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("level", [None, 0, 1])
def test_what_lies_around(d, level, both):
    field = make(d, interpolation="mitchell", n_surrounded=2)
    coords, axes = points(d, 130), [np.linspace(-0.1, 1.1, n) for n in (21, 9, 7, 5)[:d]]
    for call in (lambda: field.sample(coords, level), lambda: field.sample_lattice(axes, level)):
        fast, plain = both(call)
        assert plain.std() > 0.001
        assert_close(fast, plain)


def test_features_around_are_those_of_the_samples_beside(both):
    """At the samples of an image the inputs from around are, but for edges, what its neighbours have at their own place."""
    field = make(2, interpolation="mitchell", n_surrounded=2)
    grid, axes = field.grid, [(np.arange(n) + 0.5) / n for n in EXTENTS[2]]
    x = both(lambda: grid.lattice(axes, 3))[0]
    own, around = x[..., 2:6], x[..., 6:]  # levels of 1 and 3 features
    assert around.shape[-1] == 4 * 4
    for k, (axis, step) in enumerate(itertools.product((0, 1), (-1, 1))):
        beside = np.roll(own, -step, axis)[1:-1, 1:-1]
        found = np.concatenate([around[..., k : k + 1], around[..., 4 + 3 * k : 7 + 3 * k]], -1)[1:-1, 1:-1]
        np.testing.assert_allclose(found, beside, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 63, 64, 65, 1000])
def test_any_number_of_points(n, both):
    field = make(3)
    assert_close(*both(lambda: field.sample(points(3, n))))


def test_numbers_of_any_kind_and_order(both):
    field = make(2)
    coords = points(2, 50)
    whole = field.sample(coords)
    monotone = np.asfortranarray(coords), coords.astype(np.float32), coords.tolist(), np.repeat(coords, 2, axis=0)[::2]
    for given in monotone:
        assert_close(*both(lambda given=given: field.sample(given)))
    assert_close(field.sample(coords[::-1]), whole[::-1])


@pytest.mark.parametrize("n_threads", ["1", "2", "5"])
def test_threads_share_points(n_threads, both, monkeypatch):
    monkeypatch.setattr(evaluate, "_POINTS_PER_PART", 100)
    monkeypatch.setenv("NFCODEC_THREADS", n_threads)
    field = make(3)
    fast, plain = both(lambda: field.sample(points(3, 1234)))
    assert_close(fast, plain)


def test_a_point_is_the_same_wherever_it_comes(monkeypatch):
    """Bit for bit: surfaces are extracted from samples that may come twice."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    field, coords = make(3), points(3, 333)
    whole = field.sample(coords)
    order = np.random.default_rng(1).permutation(len(coords))
    assert np.array_equal(field.sample(coords[order]), whole[order])
    assert np.array_equal(field.sample(coords[17:18]), whole[17:18])


def test_threads_may_share_a_field(monkeypatch):
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    monkeypatch.setattr(evaluate, "_POINTS_PER_PART", 64)
    field, coords = make(3, "codebook"), points(3, 700)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: field.sample(coords), range(16)))
    assert all(np.array_equal(values, found[0]) for values in found)


# ---------------------------------------------------------------- derivatives


def assert_close_slopes(fast, plain):
    """Within 2^-13 of the largest; where a network's bend lies at a point, it may be on either side."""
    assert fast.shape == plain.shape and fast.dtype == plain.dtype
    off = np.abs(fast - plain) > np.abs(plain).max() * 2.0**-13
    assert off.mean() < 0.005


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("level", [None, 1])
def test_gradients(encoding, interpolation, d, level, both):
    field = make(d, encoding, interpolation)
    coords = points(d, 130)
    fast, plain = both(lambda: field.gradient(coords, level))
    assert plain.std() > 0.01 or interpolation == "nearest"
    assert_close_slopes(fast, plain)
    outside = (coords < 0) | (coords > 1)
    assert outside.any() and not fast.transpose(0, 2, 1)[outside].any()


@pytest.mark.parametrize(
    "changes",
    [{"n_hidden_layers": 0}, {"n_hidden_layers": 1, "n_neurons": 1}, {"n_hidden_layers": 3, "n_neurons": 33, "channels": 16},
     {"activation": "identity"}, {"knee": 0.3}, {"clip": True}, {"knee": 0.01, "clip": True},
     {"interpolation": "mitchell", "n_surrounded": 2}],
)  # fmt: skip
def test_gradients_of_networks_and_values(changes, both):
    field = make(3, **changes)
    coords = points(3, 70)
    assert_close_slopes(*both(lambda: field.gradient(coords)))
    (_, fast), (_, plain) = both(lambda: field._evaluation.gradient(coords, 3)[::-1])
    assert_close(fast, plain)


def test_gradients_are_those_of_the_values(monkeypatch):
    """Against differences; the cubic's derivative is continuous, the network bends at few places."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    field, coords = make(3, n_hidden_layers=0), np.random.default_rng(0).random((200, 3))
    for axis in range(3):
        step = 1e-3 * (np.arange(3) == axis)
        difference = (field.sample(coords + step) - field.sample(coords - step)) / 2e-3
        found = field.gradient(coords)[:, :, axis]
        np.testing.assert_allclose(found, difference, atol=2e-2 * np.abs(found).max())


# ---------------------------------------------------------------- lattices


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_lattices(encoding, interpolation, d, both):
    field = make(d, encoding, interpolation)
    rng = np.random.default_rng(d)
    axes = {
        "own": [(np.arange(n) + 0.5) / n for n in field.spec.extent],
        "finer": [np.linspace(-0.1, 1.1, n) for n in (67, 33, 9, 5)[:d]],
        "unsorted": [rng.random(n) for n in (20, 3, 17, 4)[:d]],
        "one": [np.array([0.3])] * d,
    }
    for lattice in axes.values():
        for level in (None, 1):
            fast, plain = both(lambda lattice=lattice, level=level: field.sample_lattice(lattice, level))
            assert_close(fast, plain)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("changes", [{}, {"scale": 2.3}, {"scale": 0.4}, {"region": True}])
def test_decode(d, changes, both):
    field = make(d)
    if "region" in changes:
        changes = {"region": [(0.21, 0.83)] * d, "scale": 1.7}
    assert_close(*both(lambda: field.decode(**changes)))


@pytest.mark.parametrize("n_threads", ["1", "3"])
def test_blocks_of_threads_join(n_threads, both, monkeypatch):
    monkeypatch.setattr(evaluate, "POINTS_PER_BLOCK", 50)
    monkeypatch.setenv("NFCODEC_THREADS", n_threads)
    for d, scale in itertools.product((1, 2, 3), (1.0, 0.5)):
        field = make(d)
        assert_close(*both(lambda field=field, scale=scale: field.decode(scale=scale)))


def test_vertices_that_are_samples_come_out_exact(monkeypatch):
    """A level as fine as the lattice is copied: no sum of products with 1 and 0."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    field = make_field(
        extent=(40, 50), resolutions=((40, 50),), n_features=(1,), n_hidden_layers=0, channels=1, scale=1.0, offset=0.0
    )
    weight = field.mlp.skip[0, 0]
    values = field.grid.levels[0]["latents"][0] * np.float32(field.grid.steps[0]) * weight + field.mlp.biases[0]
    np.testing.assert_allclose(field.decode()[..., 0], values, rtol=1e-6)


def test_few_samples_of_a_fine_level_gather_little(monkeypatch):
    """2**40 vertices behind 64 rows: what gathers the run between the samples would need terabytes."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    field = make_field(
        encoding="hash", interpolation="cubic", extent=(4, 4), resolutions=((1 << 20, 1 << 20),), n_features=(2,), log2_size=6
    )
    axes = [np.array([0.0, 0.3, 0.99999])] * 2
    coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    np.testing.assert_allclose(field.sample_lattice(axes).reshape(9, -1), field.sample(coords), atol=1e-4)


# ---------------------------------------------------------------- networks and values


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("n_hidden_layers, n_neurons", [(0, 7), (1, 1), (3, 33)])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_networks(activation, n_hidden_layers, n_neurons, channels, both):
    field = make(2, activation=activation, n_hidden_layers=n_hidden_layers, n_neurons=n_neurons, channels=channels)
    assert_close(*both(lambda: field.sample(points(2, 100))))
    assert_close(*both(field.decode))


@pytest.mark.parametrize("changes", [{"clip": True}, {"clip": True, "scale": -1.5}, {"knee": 0.3}, {"knee": 0.3, "clip": True}, {"knee": 0.01}])
def test_values(changes, both):
    field = make(2, **changes)
    fast, plain = both(lambda: field.sample(points(2, 500)))
    assert_close(fast, plain)
    if "clip" in changes:
        assert np.isin(plain, field._evaluation.values.limits()).sum() > 2
    assert_close(*both(lambda: field.decode(dtype="f4")))


@pytest.mark.parametrize("encoding", ["dense", "hash", "codebook"])
def test_numbers_that_overflow_give_no_warning(encoding, monkeypatch):
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    monkeypatch.setenv("NFCODEC_THREADS", "2")
    monkeypatch.setattr(evaluate, "_POINTS_PER_PART", 10)
    field = make(2, encoding, step=3e38, scale=3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isfinite(field.sample(points(2, 100))).all()
        assert field.decode(dtype="u1").dtype == np.uint8


def test_missing_levels_count_as_zero(both):
    spec = make_spec(extent=(9, 8), resolutions=((3, 4), (5, 4), (9, 8)))
    frozen = make_frozen(spec, np.random.default_rng(0))
    whole = make_field(extent=(9, 8), resolutions=((3, 4), (5, 4), (9, 8)))
    part = Evaluation(spec, load("dense")(spec.grid, frozen.levels[:2], spec.steps), whole.mlp)
    coords = points(2, 77)
    fast, plain = both(lambda: part.sample(coords, 3))
    assert_close(fast, plain)
    assert_close(fast, whole.sample(coords, level=1))


# ---------------------------------------------------------------- taps


@pytest.mark.parametrize("kernel", ["nearest", "linear", "smoothstep", (0.0, 0.5), (0.25, -1.5)])
def test_coefficients_are_those_of_the_reference(kernel):
    f = np.linspace(0, 1, 50, endpoint=False)
    found = np.stack([f**k for k in range(4)], 1) @ taps.coefficients(kernel).T
    wanted = interpolate.tap_weights(f, kernel)[0]
    first = 1 if isinstance(kernel, str) else 0
    np.testing.assert_allclose(found[:, first : first + wanted.shape[1]], wanted, atol=1e-12)
    assert not np.delete(found, range(first, first + wanted.shape[1]), axis=1).any()


@pytest.mark.parametrize("b, c", [(0, 0.5), (1 / 3, 1 / 3), (1, 0), (0.2, 0.7)])
def test_cubic_kernels_of_mitchell_and_netravali(b, c):
    """Their equation 8, at the distances of the four taps."""

    def kernel(x):
        if x < 1:
            return ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
        return ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6

    for f in (0.0, 0.1, 0.5, 0.9):
        found = taps.coefficients((b, c)) @ [1, f, f**2, f**3]
        np.testing.assert_allclose(found, [kernel(1 + f), kernel(f), kernel(1 - f), kernel(2 - f)], atol=1e-12)
        assert found.sum() == pytest.approx(1)


def test_a_smoothing_kernel_is_applied_at_vertices_too():
    own = taps.axis_taps((np.arange(8) + 0.5) / 8, 8, taps.coefficients((0, 0.5)))
    assert own.is_run and (own.start, own.count) == (0, 8)
    smooth = taps.axis_taps((np.arange(8) + 0.5) / 8, 8, taps.coefficients((1 / 3, 1 / 3)))
    assert not smooth.is_run
    np.testing.assert_allclose(smooth.weights, np.tile([1 / 18, 8 / 9, 1 / 18, 0], (8, 1)), atol=1e-7)


@pytest.mark.parametrize("encoding", ["dense", "hash", "codebook"])
def test_blocks_repeat_the_edge(encoding):
    field = make(2, encoding)
    resolution = field.spec.grid.resolutions[1]
    for starts, counts in (([-2, -1], [6, 4]), ([1, 3], [9, 5]), ([0, 0], list(resolution)), ([-9, 20], [3, 2])):
        runs = [np.clip(np.arange(a, a + k), 0, n - 1) for a, k, n in zip(starts, counts, resolution, strict=True)]
        wanted = np.moveaxis(field.grid.vertices(1, list(np.ix_(*runs))), -1, 0)
        np.testing.assert_array_equal(field.grid.block(1, starts, counts), wanted)


# ---------------------------------------------------------------- choice, memory, threads


def test_the_reference_is_used_where_planes_would_take_much_more_than_the_file(monkeypatch):
    """A long thin level: repeated edges would make 25 numbers of each of its own."""
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    resolutions = ((1 << 19, 1, 1),)
    field = make_field(encoding="hash", extent=(4, 4, 4), resolutions=resolutions, n_features=(2,), log2_size=20)
    assert not Evaluator(field.grid, field.mlp, field._evaluation.values.arrays()).can_sample
    coords = points(3, 20)
    monkeypatch.setattr("nfcodec.kernels.evaluate._Planes.of", None)  # would fail
    fast = field.sample(coords)
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
    assert_close(fast, field.sample(coords))


def test_small_work_leaves_numba_alone_until_it_is_there(monkeypatch):
    monkeypatch.delenv("NFCODEC_KERNELS", raising=False)
    field = make(2)
    monkeypatch.delitem(sys.modules, "nfcodec.kernels.evaluate")
    monkeypatch.setattr(evaluate, "_n_done", 0)
    field.sample(points(2, 10))
    field.decode()
    assert field._evaluation._kernels is None
    for _ in range(3):  # many calls are as much as a large one, of whatever fields
        field = make(2)
        field.sample(points(2, 1 << 17))
    assert field._evaluation._kernels is not None


@pytest.mark.parametrize("choice", ["0", "-1", "two", "1.5", "99999"])
def test_odd_numbers_of_threads_are_refused(choice, monkeypatch):
    monkeypatch.setenv("NFCODEC_THREADS", choice)
    with pytest.raises(UsageError, match="NFCODEC_THREADS"):
        threads.n_threads()


@pytest.mark.parametrize("n_threads", ["1", "4"])
def test_for_each_does_everything_once_and_passes_errors_on(n_threads, monkeypatch):
    monkeypatch.setenv("NFCODEC_THREADS", n_threads)
    done = []
    threads.for_each(done.append, iter(range(100)), 100)
    assert sorted(done) == list(range(100))

    def fail(k):
        if k == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.for_each(fail, range(100), 100)
    threads.for_each(fail, [], 0)
