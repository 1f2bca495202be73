"""What GLSL and WGSL share: vectors as coordinates, and tables in one array of bytes beside the program."""

from __future__ import annotations

from collections.abc import Sequence

from .dialect import Dialect
from .expressions import REAL
from .program import Program
from .tables import Table

__all__ = ["Shader"]

_COMPONENTS = {1: ("p",), 2: ("p.y", "p.x"), 3: ("p.z", "p.y", "p.x"), 4: ("p.w", "p.z", "p.y", "p.x")}


class Shader(Dialect):
    """data: what has to be bound as `prefix`_data: integers, little endian, the widest first."""

    most_unrolled = 8192  # compilers copy constant arrays that are indexed, and numbers cost no reads
    functions = {"minimum": "min", "maximum": "max", "absolute": "abs"}

    def tables(self, tables: Sequence[Table]) -> list[str]:
        self._offsets: dict[Table, int] = {}  # in integers of the table's width
        parts, n_bytes = [], 0
        for table in sorted(tables, key=lambda table: -table.integers.itemsize):
            self._offsets[table] = n_bytes // table.integers.itemsize
            parts.append(table.integers.astype(table.integers.dtype.newbyteorder("<")).tobytes())
            n_bytes += len(parts[-1])
        self.data = b"".join(parts)
        return []

    @property
    def bits(self) -> list[int]:
        """The widths of integers in the data."""
        return sorted({8 * table.integers.itemsize for table in self._offsets})

    def at(self, table: Table, index: str) -> str:
        return f"{self.prefix}_at{8 * table.integers.itemsize}({self._offsets[table]} + {index})"

    def call(self, op: str, arguments: Sequence[str], type: str) -> str:
        if op == "tanh":  # of large numbers some drivers make infinity over infinity
            arguments = [f"clamp({arguments[0]}, {self.real(-20, REAL)}, {self.real(20, REAL)})"]
        return super().call(op, arguments, type)

    @staticmethod
    def components(program: Program) -> list[tuple[int, str]]:
        """Axes, of which the slowest is 0, and the components of a vector p along them."""
        return [(k, _COMPONENTS[program.spec.n_dims][k]) for k in program.axes]

    def vector(self, program: Program) -> str:
        """The first four channels as a vector's components; 0 where there are fewer."""
        return ", ".join(f"v[{c}]" if c < program.spec.channels else self.real(0, REAL) for c in range(4))

    def about(self, program: Program) -> list[str]:
        """How the functions are called, for the comment at the beginning."""
        p, axes = self.prefix, ", ".join("xyzt"[: program.spec.n_dims])
        return [
            f"{p}(p): the values of a field at p = ({axes}), its coordinates in [0, 1], y downwards in images;",
            f"{p}_sample(p, values) has all {program.spec.channels} channels, {p}(p) the first four.",
        ]
