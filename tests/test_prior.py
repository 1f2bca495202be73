"""Networks that fits start from: they go into a model and come out of it as they were, and fits are better for them."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")

from nfcodec.fit import presets, prior  # noqa: E402
from nfcodec.fit.analysis import channel_transform  # noqa: E402
from nfcodec.fit.build import build  # noqa: E402
from nfcodec.fit.source import from_lattice  # noqa: E402
from nfcodec.spec import MlpSpec, Signal  # noqa: E402


def picture(seed=0, shape=(96, 112, 3)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] / 64
    values = np.stack([np.sin(5 * x * y + k) + (x > y) + 0.1 * rng.normal(size=x.shape) for k in range(shape[2])], -1)
    return from_lattice(Signal("image", np.clip(90 + 50 * values, 0, 255).astype(np.uint8)))


def make_fit(source, networks, n_neurons=16, is_short=False):
    preset = presets.choose(source, 1e-3, "dense", 5)
    mlp = MlpSpec(preset.grid.n_inputs, n_neurons, 2, source.channels)
    return build(source, replace(preset, mlp=mlp), networks=networks, is_short=is_short)


@pytest.mark.parametrize("channels", [1, 3])
def test_networks_come_out_as_they_went_in(channels):
    source = picture(shape=(96, 112, channels))
    fit, rng = make_fit(source, {}), np.random.default_rng(1)
    transform = channel_transform(source.target, source.is_color)
    mean = source.target.reshape(-1, channels).mean(0)
    empty = prior.extract(fit.model, transform, mean)
    assert abs(empty["skip"]).max() < 1e-5 and abs(empty["offset"]).max() < 1e-3  # what `build` begins with
    wanted = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in empty.items()}
    for name in ("first", "skip"):
        wanted[name][:, fit.model.spec.grid.n_levels :] = 0  # levels that there are not
        wanted[name] *= (empty["first"] != 0).any(0)  # and planes that a level has not
    again = make_fit(source, wanted)
    found = prior.extract(again.model, transform, mean)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, atol=1e-4, err_msg=name)


def test_what_ships_is_small_and_known():
    known = prior.load()
    fit = make_fit(picture(), {})
    assert prior.key_of(fit.model) in known and len(known) >= 4
    assert all(np.isfinite(a).all() for networks in known.values() for a in networks.values())
    for networks in known.values():
        assert {"first", "out", "skip", "offset", "context0"} <= networks.keys()


def test_fits_of_other_shapes_start_as_they_did():
    fits = [make_fit(picture(), networks, n_neurons=12) for networks in (None, {})]
    assert prior.key_of(fits[0].model) not in prior.load()
    for a, b in zip(*(fit.model.parameters() for fit in fits), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fit_that_has_not_begun_is_better_for_it(channels):
    costs = []
    for networks in (None, {}):
        fit = make_fit(picture(shape=(96, 112, channels)), networks, is_short=True)
        fit.warm_up(20)
        distortion, bits = fit.measure()
        costs.append(distortion / 1e-3 + bits)
    assert costs[0] < 0.95 * costs[1]
