"""Activations: values and derivatives against autograd, first and second derivatives of whole fields, and who steps aside."""

import numpy as np
import pytest
from entropy_cases import KERNELS, kernels
from field_cases import make_field, make_spec
from test_golden import data_of

import nfcodec
from nfcodec import activations
from nfcodec.encodings import load as load_encoding
from nfcodec.spec import ACTIVATIONS, CompositeSpec, Signal

HALF = 1.3


def identity(d, activation, **settings):
    """A field of the coordinate alone."""
    return make_field(extent=(7,) * d, sees=load_encoding("identity").describe(d), activation=activation, **settings)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_are_those_of_autograd(name):
    torch = pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit.activations import load

    act = activations.load(name)
    numbers = [np.float32(p.default) for p in act.parameters]
    v = np.linspace(-HALF, HALF, 800).astype(np.float32)  # an even number: not 0, where some have no derivative
    x = torch.tensor(v, dtype=torch.float64, requires_grad=True)
    y = load(name)(x, *(torch.tensor(float(n), dtype=torch.float64) for n in numbers))
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    curvature = torch.autograd.grad(slope.sum(), x)[0] if slope.requires_grad else torch.zeros_like(x)
    for found, wanted in ((act.value, y), (act.slope, slope), (act.curvature, curvature)):
        wanted = wanted.detach().numpy()
        assert found(v, *numbers).dtype == np.float32
        np.testing.assert_allclose(found(v, *numbers), wanted, atol=3e-5 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in ("relu", "identity")])
def test_derivatives_of_a_field_are_those_of_autograd(name):
    """The golden file of the activation, as a network in float64."""
    torch = pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit.activations import load

    field = nfcodec.open(data_of(f"act-{name}"))
    weights, biases = ([torch.tensor(t, dtype=torch.float64) for t in ts] for ts in (field.mlp.weights, field.mlp.biases))
    skip, twin = torch.tensor(field.mlp.skip, dtype=torch.float64), load(name)
    numbers = [()] * 2 if field.mlp.numbers is None else torch.tensor(field.mlp.numbers, dtype=torch.float64)
    offset, scale = field.spec.value_offset[0], field.spec.value_scale[0]

    def network(x):
        h = features = 2 * x - 1
        for w, b, own in zip(weights[:-1], biases[:-1], numbers, strict=True):
            h = twin(w @ h + b, *own)
        return offset + scale * (weights[-1] @ h + biases[-1] + skip @ features)[0]

    coords = np.random.default_rng(1).random((6, 2))
    gradient, hessian, laplacian = field.gradient(coords), field.hessian(coords), field.laplacian(coords)
    for k, coord in enumerate(coords):
        x = torch.tensor(coord)
        wanted = torch.autograd.functional.jacobian(network, x).numpy()
        np.testing.assert_allclose(gradient[k, 0], wanted, atol=1e-3 * np.abs(wanted).max())
        wanted = torch.autograd.functional.hessian(network, x).numpy()
        np.testing.assert_allclose(hessian[k, 0], wanted, atol=1e-3 * max(1.0, np.abs(wanted).max()))
        np.testing.assert_allclose(laplacian[k, 0], np.trace(wanted), atol=2e-3 * max(1.0, np.abs(wanted).max()))


FIELDS = {
    "mitchell": dict(extent=(9, 8), resolutions=((3, 4), (9, 8)), interpolation="mitchell", activation="tanh"),
    "surrounded": dict(extent=(9, 8), resolutions=((3, 4), (9, 8)), interpolation="mitchell", activation="silu", n_surrounded=1),
    "linear": dict(extent=(5, 6, 7), resolutions=((5, 6, 7),), encoding="hash", activation="softplus"),
    "relu": dict(extent=(9,), resolutions=((4,),), interpolation="cubic", activation="relu"),
    "knee": dict(kind="sdf", extent=(6, 6, 6), resolutions=((4, 5, 6),), interpolation="cubic", channels=1, knee=0.2, activation="tanh"),
    "codebook": dict(extent=(4, 5, 4, 3), resolutions=((4, 5, 4, 3),), interpolation="cubic", encoding="codebook", activation="sigmoid"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_second_derivatives_are_differences_of_first_ones(name):
    field = make_field(**FIELDS[name])
    d, step = field.spec.n_dims, 1e-3
    # well within the pieces of every level's interpolation
    coords = np.random.default_rng(2).random((400, d))
    for resolution in field.spec.grid.resolutions:
        for k, n in enumerate(resolution):
            at = coords[:, k] * n + 0.5
            coords = coords[np.abs(at - np.rint(at)) > 3 * step * n]
    coords = coords[np.all((coords > 2 * step) & (coords < 1 - 2 * step), axis=1)][:40]
    assert len(coords) > 8
    found = field.hessian(coords)
    assert found.shape == (len(coords), field.spec.channels, d, d) and found.dtype == np.float32
    size = np.abs(found).max()
    for k in range(d):
        beside = [coords + sign * step * np.eye(d)[k] for sign in (1, -1)]
        rise = (field.gradient(beside[0]).astype(np.float64) - field.gradient(beside[1])) / (2 * step)
        miss = np.abs(rise - found[..., k])
        # a few neurons of a ReLU may bend in between
        assert np.quantile(miss, 0.9) < 0.01 * max(size, 1.0), (name, k)
    np.testing.assert_allclose(found, np.swapaxes(found, 2, 3), atol=1e-4 * max(size, 1.0))


def test_beyond_the_box_nothing_bends():
    field = identity(2, "sine")
    found = field.hessian(np.array([[1.5, 0.5], [-0.1, 2.0]]))
    assert not found[0, :, 0].any() and found[0, :, 1, 1].any() and not found[1].any()


@pytest.mark.parametrize("choice", KERNELS)
def test_kernels_step_aside(choice):
    """What a file means does not depend on kernels, which know ReLUs on lattices only."""
    coords = np.random.default_rng(0).random((3000, 2))
    grid = make_spec(resolutions=((3, 4), (9, 8))).grid
    both = CompositeSpec((load_encoding("frequency").describe(2, n_frequencies=2), grid))
    for settings in (dict(activation="gaussian"), dict(sees=both), dict(sees=both, activation="finer")):
        field = make_field(extent=(40, 48), **settings)
        expected = field._evaluation.values(field.mlp(field.grid.features(coords, field.n_levels)))
        axes = [(np.arange(n) + 0.5) / n for n in field.spec.extent]
        with kernels(choice):
            fresh = nfcodec.field.Field(field.spec, field.grid, field.mlp, {}, field.sizes)
            assert np.array_equal(fresh.sample(coords), expected)
            lattice = fresh.sample_lattice(axes)
        points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
        np.testing.assert_allclose(lattice.reshape(len(points), -1), field.sample(points), atol=2e-4)


def test_hostile_numbers_give_no_warnings(recwarn):
    field = identity(2, "gaussian")
    field.mlp.numbers[:] = 0
    assert not recwarn.list
    field.sample(np.random.default_rng(0).random((50, 2)))
    field.gradient(np.random.default_rng(0).random((50, 2)))
    field.hessian(np.random.default_rng(0).random((50, 2)))
    assert not recwarn.list


def test_a_photograph_has_no_guarantee_with_a_sine():
    pytest.importorskip("torch", reason="fitting needs torch")
    signal = Signal("image", np.zeros((8, 8, 1), np.uint8))
    for settings in (dict(activation="sine"), dict(encoding="identity"), dict(encoding="dense+frequency")):
        with pytest.raises(nfcodec.errors.UsageError, match="guarantee"):
            nfcodec.encode(signal, lossless=True, **settings)


def test_steps_of_a_fit_step_aside():
    """Kernels make the steps of small networks of ReLUs on one dense grid; all else is torch's."""
    pytest.importorskip("torch", reason="fitting needs torch")
    pytest.importorskip("numba", reason="kernels need numba")
    from nfcodec.fit import presets
    from nfcodec.fit.build import build
    from nfcodec.fit.fast import FastStep
    from nfcodec.fit.source import from_lattice

    source = from_lattice(Signal("image", np.random.default_rng(0).integers(0, 256, (90, 96, 1)).astype(np.uint8)))
    for settings, network, wanted in (
        (("dense", "auto"), None, True), (("dense", "sine"), None, False), (("dense", "auto"), (64, 2), False),
        (("dense+identity", "auto"), None, False), (("identity", "relu"), None, False),
    ):  # fmt: skip
        encoding, activation = settings
        with kernels("numba"):
            fit = build(source, presets.choose(source, 1e-3, encoding, 5, activation=activation, network=network), 0)
            assert FastStep.is_available(fit.model) == wanted, settings
