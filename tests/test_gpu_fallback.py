"""A fit on a GPU goes on where a faster way does not work there, as if the slower one had been chosen.

Here a CPU is taken for the GPU, and what steps launch is either exchanged for what a CPU can do, or fails as it does where no
driver is.
"""

import functools
import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the cases are those of the numba kernels")
if importlib.util.find_spec("triton") is None:
    pytest.skip('needs triton, on Linux: pip install "nfcodec[gpu]"', allow_module_level=True)

from test_fast import CASES, make_fit  # noqa: E402

import nfcodec  # noqa: E402
from nfcodec.errors import NfldError  # noqa: E402
from nfcodec.fit import fused, gpu, session  # noqa: E402
from nfcodec.fit.fast import FastStep  # noqa: E402
from nfcodec.fit.gpu import fallback, loop, memory, warm_up  # noqa: E402
from nfcodec.fit.train import Recipe, Target  # noqa: E402

RECIPE = Recipe(n_steps=16, lmbda=1e-3, integers_from=0.4, hard_from=0.8)
FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
FAULT = RuntimeError("PassManager::run failed\nand more lines")


@pytest.fixture(autouse=True)
def cpu_as_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "_takes", lambda x: x.dtype == torch.float32)
    monkeypatch.setattr(gpu, "_works", lambda device: True)
    monkeypatch.setattr(gpu, "_given_up", {})


@pytest.fixture
def steps_of_a_cpu(monkeypatch):
    """The loop with steps that move everything somehow, and torch's step as a CPU has it."""
    monkeypatch.setattr(fused, "gpu", SimpleNamespace(is_available=lambda x: False))

    def step(self, tile, stage):
        self.flat *= 1.01
        self.theta += 0.1 * torch.randn(len(self.theta))
        self.counter += 1

    monkeypatch.setattr(loop.Loop, "_gradients", lambda self, tile, stage: None)
    monkeypatch.setattr(loop.Loop, "_step", step)
    monkeypatch.setattr(loop.Loop, "_move_shapes", lambda self, optimizer, *args: self.model.shapes.add_(0.1))


def fitted(name="small image", is_steered=False):
    """All that a fit ends with."""
    fit = make_fit(name)
    told = []
    lmbda = fit.run(RECIPE, Target(bits_per_sample=2.0) if is_steered else None, told.append)
    model = fit.model
    tensors = [t.detach().clone() for t in (*model.parameters(), *model.buffers())]
    numbers = model.shifts, model.grid.context.shifts, model.spec, fit.generator.random(), torch.rand(1).item(), lmbda
    return tensors, numbers, [(p.step, p.distortion, p.bits_per_sample) for p in told[-RECIPE.n_steps :]]


@functools.cache
def plainly(is_steered=False):
    """What a fit ends with that no GPU takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "_takes", lambda x: False)
        return fitted(is_steered=is_steered)


def assert_same(found, expected):
    for a, b in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert found[1] == expected[1]
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6)  # sums in another order where memory lies otherwise


def failing(method, error, after=0):
    """The method of a loop that raises when it has been called so often."""
    known, calls = getattr(loop.Loop, method), []

    def call(*args):
        calls.append(args)
        if len(calls) > after:
            raise error
        return known(*args)

    return call


MOMENTS = {
    "building": ("__init__", 0), "first gradients": ("begin", 0), "first step": ("_step", 0), "second tile": ("_step", 1),
    "kernels' shapes": ("_move_shapes", 0), "rounded networks": ("_follow_shifts", 1), "first step of those": ("_step", 7),
}  # fmt: skip


@pytest.mark.parametrize("error", [FAULT, FULL], ids=["fault", "full"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_loop_that_fails_at_first(steps_of_a_cpu, monkeypatch, moment, error):
    expected = plainly()
    method, after = MOMENTS[moment]
    monkeypatch.setattr(loop.Loop, method, failing(method, error, after))
    reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    with pytest.warns(UserWarning) as warned:
        assert_same(fitted(), expected)
    assert [str(w.message) for w in warned] == [
        f"fitting on a GPU: steps captured as CUDA graphs fail ({reason}); going on with torch's steps with Triton's kernels"
    ]
    with warnings.catch_warnings():  # and from then on it is known
        warnings.simplefilter("error")
        assert_same(fitted(), expected)
    if error is FULL:  # of fits as large
        with pytest.warns(UserWarning, match="CUDA graphs fail"):
            fitted("short line")


def test_a_loop_that_fails_in_the_middle(steps_of_a_cpu, monkeypatch):
    """By then every kernel has run."""
    n_tiles = len(make_fit("small image").tiles)
    assert RECIPE.n_steps * 0.4 > n_tiles + 2
    expected = plainly(is_steered=True)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", failing("_step", FAULT, n_tiles + 1))
        with pytest.raises(RuntimeError, match="PassManager"):
            fitted(is_steered=True)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", failing("_step", FULL, n_tiles + 1))
        with pytest.warns(UserWarning, match="out of memory"):
            assert_same(fitted(is_steered=True), expected)


def test_a_loop_that_works(steps_of_a_cpu):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, _, told = fitted()
    assert [step for step, _, _ in told] == [RECIPE.n_steps]  # its own way to tell


def test_kernels_that_nothing_can_launch(monkeypatch):
    """As they fail where there is no driver: first captured ones, then those of torch's steps."""
    expected = plainly()
    with pytest.warns(UserWarning) as warned:
        assert_same(fitted(), expected)
    assert [str(w.message).split(";")[-1] for w in warned] == [
        " going on with torch's steps with Triton's kernels", " going on with torch alone",
    ]  # fmt: skip
    assert not gpu.is_available(torch.zeros(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(fitted(), expected)


@pytest.mark.parametrize("after, error, goes_on", [(0, FAULT, True), (7, FAULT, True), (3, FAULT, False), (3, FULL, False)])
def test_kernels_that_fail_in_torchs_steps(steps_of_a_cpu, monkeypatch, after, error, goes_on):
    """At first, and where networks are rounded; torch alone would take more memory."""
    expected = plainly()
    monkeypatch.setattr(loop, "is_available", lambda fit, recipe: False)
    known, calls = FastStep.gradients, []

    def gradients(*args, **settings):
        calls.append(gpu.is_available(torch.zeros(4)))
        if calls[-1] and len(calls) > after:
            raise error
        return known(*args, **settings)

    monkeypatch.setattr(FastStep, "gradients", gradients)
    if not goes_on:
        with pytest.raises(type(error)):
            fitted()
        return
    with pytest.warns(UserWarning, match="Triton's kernels fail .*going on with torch alone"):
        assert_same(fitted(), expected)


@pytest.mark.parametrize("name", ["is_available", "warm_up"])
def test_a_warm_up_that_fails(steps_of_a_cpu, monkeypatch, name):
    def fail(grid, *args):
        for t in grid.context.parameters():
            t.detach().add_(1.0)
        for draw in args[2:3]:
            draw(5)
        raise FAULT

    expected, found = make_fit("small image"), make_fit("small image")
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "_takes", lambda x: False)
        expected.warm_up(20)
    monkeypatch.setattr(warm_up, name, fail)
    with pytest.warns(UserWarning, match="CUDA graphs fail .*PassManager"):
        found.warm_up(20)
    for a, b in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("error, is_full", [
    (FULL, True), (RuntimeError("Triton Error [CUDA]: out of memory"), True), (FAULT, False),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True), (KeyError("memory"), False),
])  # fmt: skip
def test_what_is_no_memory(error, is_full):
    assert fallback.is_out_of_memory(error) == is_full


@pytest.mark.parametrize("shape, kind, changes", [
    ((300, 280, 3), "image", {"tile_edge": 160}), ((3000, 1), "volume", {}), ((50, 46, 44, 1), "volume", {"stride": 2, "tile_edge": 30}),
])  # fmt: skip
def test_memory_of_the_loop(monkeypatch, shape, kind, changes):
    """What is counted beforehand is what is then there, give or take small arrays."""
    monkeypatch.setitem(CASES, "large", (shape, kind, changes))
    monkeypatch.setattr(memory, "_MATRIX", 0)  # what is not there any more
    fit = make_fit("large")
    expected = memory.loop_bytes(fit)
    known = {id(t) for t in tensors_of(fit)}
    made = loop.Loop(fit, RECIPE)
    found = sum(t.numel() * t.element_size() for t in tensors_of(made) if id(t) not in known and t._base is None)
    found += 4 * max(tile.n for tile in made.tiles)  # the noise of a step
    assert 0.75 * found < expected < 1.1 * found


def tensors_of(x, seen=None):
    """Those that an object holds, each once."""
    seen = {} if seen is None else seen
    if id(x) in seen or isinstance(x, (type, str, bytes, int, float, np.ndarray)):
        return []
    seen[id(x)] = x
    if isinstance(x, torch.Tensor):
        return [x, *tensors_of(x._base, seen)]
    parts = x if isinstance(x, (list, tuple)) else (x if isinstance(x, dict) else getattr(x, "__dict__", {})).values()
    return [t for part in parts for t in tensors_of(part, seen)]


def test_a_loop_too_large_for_the_card(steps_of_a_cpu, monkeypatch):
    expected = plainly()
    monkeypatch.setattr(memory, "_free", lambda device: 1 << 27)
    with pytest.warns(UserWarning, match=r"fail \(OutOfMemoryError: they take about 0.13 GiB, 0.12 GiB are free\); going on"):
        assert_same(fitted(), expected)


def test_a_signal_too_large_for_the_card(monkeypatch):
    """Of a device that nobody named the CPU takes its place."""
    monkeypatch.setattr(gpu, "_takes", lambda x: False)
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 1), np.uint8)
    expected = nfcodec.encode(image, kind="image", effort=1, device="cpu").data
    build = session.build

    def full(source, preset, seed, device, **others):
        if device != "cpu":
            raise FULL
        return build(source, preset, seed, device, **others)

    monkeypatch.setattr(session, "build", full)
    monkeypatch.setattr(session, "pick_device", lambda name: "cuda")
    with pytest.warns(UserWarning, match="fitting on cuda: the GPU has too little memory .*starting over on the CPU"):
        assert nfcodec.encode(image, kind="image", effort=1).data == expected
    with pytest.raises(NfldError, match="too little memory .*expected a smaller signal; encode it with --device cpu"):
        nfcodec.encode(image, kind="image", effort=1, device="cuda")
