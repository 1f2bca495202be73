"""A bounding-volume hierarchy over boxes, for many points and rays at a time.

Boxes are halved at the median of their centres along the axis on which those spread most, down to single ones (Kay and
Kajiya, SIGGRAPH 1986, have the idea). Everything is numpy and sorted, so that the same boxes always give the same tree and
answers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["BoxTree"]


class BoxTree:
    """A tree over boxes low, high (K, 3) float64, K >= 1. Node 0 is the root; `item` (M,) is a leaf's box, -1 elsewhere;
    `children` (M, 2)."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        n = 2 * len(low) - 1
        self.low, self.high = np.empty((n, 3)), np.empty((n, 3))
        self.item, self.children = np.full(n, -1), np.zeros((n, 2), np.int64)
        centres, n_made = (low + high) / 2, 1
        waiting = [(0, np.arange(len(low)))]
        while waiting:
            node, items = waiting.pop()
            self.low[node], self.high[node] = low[items].min(axis=0), high[items].max(axis=0)
            if len(items) == 1:
                self.item[node] = items[0]
                continue
            axis = int(np.argmax(np.ptp(centres[items], axis=0)))
            items = items[np.argsort(centres[items, axis], kind="stable")]
            self.children[node] = n_made, n_made + 1
            waiting += [(n_made, items[: len(items) // 2]), (n_made + 1, items[len(items) // 2 :])]
            n_made += 2

    def gaps(self, points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Distances (N,) of points (N, 3) from the boxes of nodes (N,), 0 inside."""
        beyond = np.maximum(np.maximum(self.low[nodes] - points, points - self.high[nodes]), 0.0)
        return np.sqrt((beyond**2).sum(axis=1))

    def guess(self, points: np.ndarray) -> np.ndarray:
        """A box (N,) near each point (N, 3), though not always the nearest: of both halves the nearer one, to the end."""
        nodes = np.zeros(len(points), np.int64)
        while (inner := np.flatnonzero(self.item[nodes] < 0)).size:
            left, right = self.children[nodes[inner]].T
            nearer = self.gaps(points[inner], left) <= self.gaps(points[inner], right)
            nodes[inner] = np.where(nearer, left, right)
        return self.item[nodes]

    def near(self, points: np.ndarray, most: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pairs (point, box) nearer than most (N,), or that hold the point: numbers and distances, each (P,)."""

        def enter(which: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            gaps = self.gaps(points[which], nodes)
            return (gaps < most[which]) | (gaps == 0), gaps

        return self._pairs(len(points), enter)

    def hit(
        self, origins: np.ndarray, directions: np.ndarray, least: np.ndarray, most: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pairs (ray, box) that meet between parameters least and most (N,): numbers, parameters of entry, each
        (P,)."""

        def enter(which: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            start, along = origins[which], directions[which]
            with np.errstate(divide="ignore", invalid="ignore"):
                a, b = (self.low[nodes] - start) / along, (self.high[nodes] - start) / along
            inside = (start >= self.low[nodes]) & (start <= self.high[nodes])
            still = along == 0  # within a slab for ever, or never
            first = np.where(still, np.where(inside, -np.inf, np.inf), np.minimum(a, b)).max(axis=1)
            last = np.where(still, np.where(inside, np.inf, -np.inf), np.maximum(a, b)).min(axis=1)
            entry = np.maximum(first, least[which])
            return entry <= np.minimum(last, most[which]), entry

        return self._pairs(len(origins), enter)

    def _pairs(self, n: int, enter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(numbers, boxes, measures) of all leaves that `enter`, (numbers, nodes) -> (whether, measure), lets in, sorted by
        number, then by measure, then by box."""
        which, nodes = np.arange(n), np.zeros(n, np.int64)
        found = [tuple(np.empty(0, t) for t in (np.int64, np.int64, np.float64))]
        while len(which):
            inside, measure = enter(which, nodes)
            which, nodes, measure = which[inside], nodes[inside], measure[inside]
            leaf = self.item[nodes] >= 0
            found.append((which[leaf], self.item[nodes[leaf]], measure[leaf]))
            which, nodes = np.repeat(which[~leaf], 2), self.children[nodes[~leaf]].reshape(-1)
        which, items, measure = (np.concatenate(parts) for parts in zip(*found))
        order = np.lexsort((items, measure, which))
        return which[order], items[order], measure[order]
