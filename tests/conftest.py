"""Fixtures of several modules."""

import pytest


@pytest.fixture
def both(monkeypatch):
    """both(call): what call() gives with the kernels and with numpy."""

    def run(call):
        monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
        plain = call()
        monkeypatch.setenv("NFCODEC_KERNELS", "numba")
        return call(), plain

    return run
