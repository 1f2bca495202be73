"""How a surface cuts a cell, by the signs of its corners: the tables of marching cubes and of dual contouring.

Both are derived from one rule: on a side of a cell every run of inside corners is cut off by one segment. Both cells at a
side see the same signs, so they cut it in the same way, and segments join to closed loops around the cell. A side with
two inside corners across from each other is *ambiguous*: its two segments might as well cut off the outside corners,
which is what a *flipped* side does.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

__all__ = ["AMBIGUOUS", "AXES", "CORNERS", "LOWER", "SIDES", "UPPER", "loop_table", "loops_of", "triangle_table"]

CORNERS = np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(8)])  # corner c of a cell at offset (z, y, x)
_EDGES = [(c, c | 1 << bit) for bit in range(3) for c in range(8) if not c >> bit & 1]  # lower corner, upper corner
LOWER, UPPER = np.array(_EDGES).T
AXES = np.repeat([2, 1, 0], 4)  # of the 12 edges


def _cycles() -> list[list[int]]:
    """The corners of each side of a cell, in the same sense seen from outside: for x, y and z the near and the far one."""
    cycles = []
    for bit in range(3):
        u, v = 1 << (bit + 1) % 3, 1 << (bit + 2) % 3
        cycles += [[0, u, u | v, v], [c | 1 << bit for c in (v, u | v, u, 0)]]
    return cycles


_CYCLES = _cycles()
_EDGE_IDS = {frozenset(edge): i for i, edge in enumerate(_EDGES)}
SIDES = np.array([[_EDGE_IDS[frozenset((c[k], c[k - 3]))] for k in range(4)] for c in _CYCLES])  # their edges, (6, 4)
_SIDES_OF = [{i for i, cycle in enumerate(_CYCLES) if set(edge) <= set(cycle)} for edge in _EDGES]
_RUNS = np.array([[[case >> c & 1 for c in cycle] for cycle in _CYCLES] for case in range(256)])
# (256, 6): whether a side has both signs at either pair of corners across
AMBIGUOUS = (_RUNS[..., 0] == _RUNS[..., 2]) & (_RUNS[..., 1] == _RUNS[..., 3]) & (_RUNS[..., 0] != _RUNS[..., 1])


@cache
def loops_of(case: int, flipped: int = 0) -> list[list[int]]:
    """The closed loops of crossed edges of a case (bit c: corner c is inside), against the clock seen from outside the
    surface. flipped: bit i: side i is flipped, which means something for ambiguous ones only."""
    following = {}  # crossed edge -> next crossed edge around the surface
    for side, cycle in enumerate(_CYCLES):
        inside = [case >> corner & 1 for corner in cycle]
        turned = flipped >> side & 1 and AMBIGUOUS[case, side]
        for last in range(4):
            if inside[last] and not inside[(last + 1) % 4]:
                first = last
                while inside[first - 1]:
                    first -= 1
                enter = (cycle[first - 1], cycle[first])
                if turned:  # into the other run of inside corners
                    enter = (cycle[(last + 1) % 4], cycle[(last + 2) % 4])
                following[_EDGE_IDS[frozenset((cycle[last], cycle[(last + 1) % 4]))]] = _EDGE_IDS[frozenset(enter)]
    loops = []
    while following:
        loop = [next(iter(following))]
        while (edge := following.pop(loop[-1])) != loop[0]:
            loop.append(edge)
        loops.append(loop)
    return loops


@lru_cache(maxsize=1)
def triangle_table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of the 256 cases its triangles as triples of edges: counts (256,), starts (256,), triples (total, 3)."""
    table = [[triangle for loop in loops_of(case) for triangle in _fan(loop)] for case in range(256)]
    counts = np.array([len(triangles) for triangles in table])
    return counts, np.cumsum(counts) - counts, np.array([t for triangles in table for t in triangles])


@lru_cache(maxsize=1)
def loop_table() -> tuple[np.ndarray, np.ndarray]:
    """For each of the 256 cases the number of loops (256,) and of every edge its loop (256, 12), int8, or -1."""
    counts, loop_of = np.zeros(256, np.int8), np.full((256, 12), -1, np.int8)
    for case in range(256):
        for i, loop in enumerate(loops_of(case)):
            loop_of[case, loop] = i
            counts[case] += 1
    return counts, loop_of


def _fan(loop: list[int]) -> list[tuple[int, int, int]]:
    """A fan over the loop with no diagonal inside a side of the cell, where the next cell might draw it as well."""
    for turn in range(len(loop)):
        apex, *rest = loop[turn:] + loop[:turn]
        if not any(_SIDES_OF[apex] & _SIDES_OF[other] for other in rest[1:-1]):
            break  # each of the 358 loops of the table has such an apex
    return [(apex, a, b) for a, b in zip(rest, rest[1:])]
