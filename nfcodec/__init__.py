"""nfcodec: neural fields as small files.

    import nfcodec
    nfcodec.encode("scene.obj", "scene.nfld")      # needs the extra [encode]
    field = nfcodec.open("scene.nfld")             # numpy and zstandard only
    values = field.sample(coords)                  # coords (N, d) in [0, 1], axes in array order
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["Field", "Scene", "Signal", "encode", "encode_scene", "errors", "on_device", "open", "to_torch"]


def __getattr__(name: str):
    # imported on use, so that the command line can print its help without numpy
    import importlib

    homes = {
        "Field": "field", "Scene": "scene", "Signal": "spec", "encode": "encoder", "encode_scene": "scene_encoder",
        "open": "decode", "errors": "errors", "on_device": "torch_field", "to_torch": "torch_field",
    }  # fmt: skip
    if name not in homes:
        raise AttributeError(f"module 'nfcodec' has no attribute {name!r}")
    module = importlib.import_module(f".{homes[name]}", __name__)
    value = module if name == "errors" else getattr(module, name)
    globals()[name] = value
    return value
