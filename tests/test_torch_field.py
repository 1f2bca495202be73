"""Fields through torch against the decoder: every golden, points, slopes and lattices; gradients; devices."""

from pathlib import Path

import numpy as np
import pytest

import nfcodec
from nfcodec.cli import main
from nfcodec.errors import UsageError

torch = pytest.importorskip("torch", reason="the extra [encode] is not installed")

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
GOLDENS = sorted((Path(__file__).parents[1] / "spec" / "golden").glob("*.nfld"))


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_every_golden_is_the_same_through_torch(path, device):
    field = nfcodec.open(path, allow_truncated=True)
    other = nfcodec.on_device(field, device)
    rng = np.random.default_rng(0)
    coords = rng.uniform(-0.1, 1.1, (200, field.spec.n_dims))
    axes = [np.sort(rng.random(4 + k)) for k in range(field.spec.n_dims)]
    for level in (None, 0):
        assert_close(other.sample(coords, level), field.sample(coords, level))
        assert_close(other.gradient(coords, level), field.gradient(coords, level))
        assert_close(other.sample_lattice(axes, level), field.sample_lattice(axes, level))
    shape = [max(1, n // 2) for n in field.spec.extent]
    assert_close(other.decode(shape, dtype="f4"), field.decode(shape, dtype="f4"))


def golden(name):
    return nfcodec.open(GOLDENS[0].parent / f"{name}.nfld")


@pytest.mark.parametrize("name", ["image-rgb8", "image-hash", "image-codebook"])
def test_a_module_learns(name):
    module = golden(name).to_torch()
    coords = torch.rand(500, 2, dtype=torch.float64)
    target = module(coords).detach() + 0.1 * torch.randn(500, 3)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(30):
        loss = (module(coords, clip=False) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.features.rows)
    assert losses[-1] < 0.9 * losses[0]


def test_the_residual_stays():
    path = next(p for p in GOLDENS if nfcodec.open(p, allow_truncated=True).max_error is not None)
    field = nfcodec.open(path)
    np.testing.assert_array_equal(nfcodec.on_device(field, "cpu").decode(), field.decode())


def test_a_device_that_is_not_there(tmp_path, capsys):
    field = golden("image-rgb8")
    with pytest.raises(UsageError, match="choosing a device: got 'nonsense'"):
        nfcodec.on_device(field, "nonsense")
    output = tmp_path / "a.npy"
    assert main(["decode", str(GOLDENS[0]), "-o", str(output), "--device", "nonsense"]) == 2
    assert "choosing a device" in capsys.readouterr().err and not output.exists()
