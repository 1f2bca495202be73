"""Where encodings of factors start: the products of factors that come closest to the signal, one after the other.

A product is found by alternating least squares: with all factors but one fixed, the best values of that one are means. What
it leaves is left to the next (for CP that is the greedy decomposition of Zhang & Golub 2001, and in two dimensions the
singular value decomposition).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..encodings import load
from ..encodings.interpolate import apply_axes
from ..spec import GridSpec
from .analysis import resampling

_N_SWEEPS = 6
_LITTLE = 1e-3  # of what is left, that a product has to explain; others start at random, unseen by the skip
_DAMPING = 1e-2  # of the mean weight of a factor's values


def decompose(
    planes: np.ndarray, spec: GridSpec, weight: np.ndarray | None, seed: int
) -> tuple[list[list[np.ndarray]], np.ndarray, list[float]]:
    """planes (*extent, C) float32, weight (*extent) of squared errors or None for 1 ->
    (for each level and factor (F_l, *resolution along its axes) float32, so that products are in the units of planes;
    (n_inputs,) which plane each input of the network is a part of, -1 for none;
    for each level the typical size of what a factor's values are multiplied by)."""
    encoding, rng = load(spec.encoding), np.random.default_rng(seed)
    factors, terms = encoding.factors(spec), encoding.terms(spec)
    groups = [terms] if spec.n_parts == 1 else [[term] for term in terms]  # of terms that are summed
    left, out, owners, gains = planes.copy(), [], [], []
    for level, n_features in enumerate(spec.n_features):
        up, down, plain = resampling(planes.shape[:-1], spec, level)
        low = apply_axes(left, down)
        weights = None if weight is None else np.maximum(apply_axes(weight[..., None], plain)[..., 0], 1e-6)
        before = low.copy()
        arrays = [np.zeros((n_features, *(spec.resolutions[level][k] for k in axes)), np.float32) for axes in factors]
        owner, sizes = np.full((len(groups), n_features), -1), []
        for f in range(n_features):
            for g, group in enumerate(groups):
                plane = int(np.argmax(_power(low, weights)))
                target, total = low[..., plane], _power(low, weights)[plane]
                found = [_best_product(target, term, factors, weights, rng) for term in group[:1]]
                for term in group[1:]:
                    found.append(_best_product(target - sum(map(_product, found)), term, factors, weights, rng))
                rest = target - sum(map(_product, found))
                explains = total > 0 and _power(rest[..., None], weights)[0] < (1 - _LITTLE) * total
                if explains:
                    low[..., plane], owner[g, f] = rest, plane
                for term, values in zip(group, found):
                    whole = math.prod(map(_rms, values)) if explains else math.sqrt(total)
                    size = max(whole, 1e-6) ** (1 / len(term))
                    sizes.append(size ** (len(term) - 1))
                    for k, v in zip(term, values):
                        v = v if explains else rng.normal(size=v.shape)
                        arrays[k][f] = (v * (size / max(_rms(v), 1e-12))).reshape(arrays[k].shape[1:])
        left -= apply_axes(before - low, up)
        out.append(arrays)
        owners.append(owner.ravel())
        gains.append(float(np.sqrt(np.mean(np.square(sizes)))))
    return out, np.concatenate(owners), gains


def _best_product(
    target: np.ndarray, term: tuple[int, ...], factors, weights: np.ndarray | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """The factors of a term, of length 1 along the axes that they have not, whose product is close to target."""
    axes = [factors[k] for k in term]
    if sum(map(len, axes)) <= target.ndim:
        return _alternate(target, [rng.normal(size=_shape(target, own)).astype(np.float32) for own in axes], weights)
    # factors that share axes begin as one of them times what has the other axes alone: from elsewhere they end badly
    best, least = [], math.inf
    for j, own in enumerate(axes):
        others = tuple(k for k in range(target.ndim) if k not in own)
        pair = [rng.normal(size=_shape(target, part)).astype(np.float32) for part in (own, others)]
        pair = _alternate(target, pair, weights)
        error = _power((target - _product(pair))[..., None], weights)[0]
        if error < least:
            home = next(i for i, part in enumerate(axes) if i != j and set(others) <= set(part))
            values = {j: pair[0], home: pair[1]}
            best, least = [values.get(i, np.ones((1,) * target.ndim, np.float32)) for i in range(len(axes))], error
    whole = [np.broadcast_to(v, _shape(target, own)) for v, own in zip(best, axes)]
    return _alternate(target, whole, weights)


def _alternate(target: np.ndarray, found: list[np.ndarray], weights: np.ndarray | None) -> list[np.ndarray]:
    """Alternating least squares for a product of arrays that broadcast to target."""
    weighted, shapes = target if weights is None else target * weights, [x.shape for x in found]
    for _ in range(_N_SWEEPS if len(found) > 1 else 1):
        for j, shape in enumerate(shapes):
            missing = tuple(k for k, n in enumerate(target.shape) if shape[k] < n)
            others = np.broadcast_to(_product([x for i, x in enumerate(found) if i != j]), target.shape)
            square = np.square(others) if weights is None else np.square(others) * weights
            total = square.sum(missing, keepdims=True)
            found[j] = (weighted * others).sum(missing, keepdims=True) / (total + _DAMPING * total.mean() + 1e-12)
    return found


def _shape(target: np.ndarray, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Of an array that has only these axes of target."""
    return tuple(n if k in axes else 1 for k, n in enumerate(target.shape))


def _product(factors: list[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.multiply, factors, np.ones((), np.float32))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _power(planes: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """(C,) the mean square of each of planes (*resolution, C)."""
    flat = np.square(planes.reshape(-1, planes.shape[-1]))
    return np.average(flat, axis=0, weights=None if weights is None else weights.ravel())
