"""Options that several commands share, and values that are more than a number: sizes, shapes and regions."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError

if TYPE_CHECKING:
    from ..field import Field
    from ..scene import Scene
    from ..spec import Signal

__all__ = [
    "CHOICES", "NAMES", "NUMBERS", "REGION", "SCALE", "SHAPE", "SIZE", "SIZES", "fractions_of", "given", "read_options",
    "read_source",
]  # fmt: skip

_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}

# spelled out, because spec.py needs numpy; a test compares them
QUANTITIES = ("colour", "measurement", "vectors", "flow", "normals")

Bound = tuple[float, str]  # a number, and its unit: "" for samples, "%" or "s" for seconds


class _Size(click.ParamType):
    """30000, 30KB, 1.5MB, 64KiB -> bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", value.strip().lower())
        if match is None or match[2] not in _UNITS or float(match[1]) * _UNITS[match[2]] < 1:
            self.fail(f"got {value!r}, expected bytes such as 30000, 30KB, 1.5MB or 64KiB", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


class _Shape(click.ParamType):
    """768x1024 -> (768, 1024), in array order."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = re.split(r"[x,]", value.strip().lower())
        if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
            self.fail(f"got {value!r}, expected positive integers such as 768x1024 or 64x256x256", param, ctx)
        return tuple(int(part) for part in parts)


class _Region(click.ParamType):
    """100:200,25%:75%,1s:2.5s -> a pair of bounds for each axis, None where a bound is left out; see `fractions_of`."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        pairs = []
        for part in value.replace(" ", "").split(","):
            bounds = re.fullmatch(r"(?:(\d+(?:\.\d+)?)([%s]?))?:(?:(\d+(?:\.\d+)?)([%s]?))?", part)
            if bounds is None:
                self.fail(f"got {value!r}, expected start:stop for each axis, such as 100:200,25%:75%", param, ctx)
            found = bounds.groups()[:2], bounds.groups()[2:]
            pairs.append(tuple(None if number is None else (float(number), unit) for number, unit in found))
        return tuple(pairs)


class _Scale(click.ParamType):
    """2.5 -> 2.5; 2,1,1 -> (2.0, 1.0, 1.0), one an axis."""

    name = "scale"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | tuple[float, ...]:
        if not isinstance(value, str):
            return value
        try:
            factors = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"got {value!r}, expected a number such as 2.5, or one for each axis such as 2,1,1", param, ctx)
        return factors if len(factors) > 1 else factors[0]


class _Numbers(click.ParamType):
    """20,35.5,50 -> (20.0, 35.5, 50.0)"""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"got {value!r}, expected numbers such as 20,50,80", param, ctx)


class _Sizes(click.ParamType):
    """10KB,1.5MB -> (10000, 1500000)"""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else tuple(SIZE.convert(part, param, ctx) for part in value.split(","))


class _Names(click.ParamType):
    """PNG, AVIF 4:4:4 -> ("PNG", "AVIF 4:4:4")"""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        return value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(",") if part.strip())


class _Choices(click.ParamType):
    """dense,random-fourier:n_frequencies=64,sigma=5 -> both, each with its numbers: what begins with one belongs to the
    name before."""

    name = "choices"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        found: list[str] = []
        for part in value.replace(" ", "").split(","):
            if found and re.match(r"[^:+=]*=", part):
                found[-1] += f",{part}"
            elif part:
                found.append(part)
        return tuple(found)


SIZE, SHAPE, REGION, SCALE = _Size(), _Shape(), _Region(), _Scale()
NUMBERS, SIZES, NAMES, CHOICES = _Numbers(), _Sizes(), _Names(), _Choices()

_READ_OPTIONS = {
    "dataset": click.option("--dataset", metavar="NAME", help="The array to read from HDF5 or NPZ."),
    "shape": click.option("--shape", type=SHAPE, metavar="256x256x256", help="Of RAW samples, in the order of --axes."),
    "dtype": click.option("--dtype", metavar="NAME", help="Of RAW samples: uint8, float32, >i2 ...  [default: uint8]"),
    "axes": click.option("--axes", metavar="ZYXC", help="Of an array: letters of t z y x c, in the file's order."),
    "frame_rate": click.option("--frame-rate", type=float, metavar="X", help="Of numbered images.  [default: 25]"),
    "quantity": click.option(
        "--quantity", type=click.Choice(QUANTITIES), help="What values are.  [default: as the file says]"
    ),
    "texture": click.option("--texture", metavar="IMAGE", help="Of a mesh with texture coordinates whose file names none."),
}


def read_options(command: Callable) -> Callable:
    """Adds the options of `nfcodec.io.read`."""
    for option in reversed(_READ_OPTIONS.values()):
        command = option(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options of `nfcodec.io.read` that have a value."""
    return {name: options[name] for name in _READ_OPTIONS if options[name] is not None}


def read_source(field: Field | Scene, path: str, options: dict[str, Any]) -> Signal:
    """The signal that a field may be of, read as what it was encoded as: an array as an image, an image as a volume."""
    from .. import io

    signal, kind = io.read(path, **given(options)), getattr(field, "kind", "scene")
    if {signal.kind, kind} == {"image", "volume"}:
        with suppress(UsageError):  # not of that kind, so not of that field
            return io.read(path, kind, **given(options))
    return signal


def fractions_of(
    region: tuple[tuple[Bound | None, Bound | None], ...] | None, extent: tuple[int, ...], rate: float | None = None
) -> tuple[tuple[float, float], ...] | None:
    """A region as fractions of each axis, as `Field.decode` takes it.

    Plain numbers count samples of the source, as a slice of its array would; numbers with % are parts of the axis, and with
    s seconds along the first axis, of which `rate` samples are in one; a bound that is left out is the edge. Raises
    UsageError for another number of axes, for empty or outlying ranges, and for seconds along an axis that has none.
    """
    if region is None:
        return None
    text = "x".join(map(str, extent))
    if len(region) != len(extent):
        raise UsageError(
            f"choosing a region: got {len(region)} axes, expected {len(extent)} for a source of {text} samples"
        )
    out = []
    for k, ((start, stop), n) in enumerate(zip(region, extent)):
        if "s" in {bound[1] for bound in (start, stop) if bound} and (k or not rate):
            raise UsageError(
                f"choosing a region: got seconds along axis {k}, expected samples or %: only time has seconds, where the "
                "file says its rate"
            )
        whole = {"": n, "%": 100, "s": n / rate if rate else 1}
        a, b = (default if x is None else x[0] / whole[x[1]] for x, default in ((start, 0.0), (stop, 1.0)))
        if not 0 <= a < b <= 1:
            raise UsageError(
                f"choosing a region: got {a * n:g}:{b * n:g}, expected start < stop within a source of {text} samples"
            )
        out.append((a, b))
    return tuple(out)
