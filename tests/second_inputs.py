"""Encodings without a grid and activations once more, in float64 from the text of spec/format.md alone."""

import math

import numpy as np

# the numbers of the field header, "i" for varints, "f" for f32
NUMBERS = {
    "identity": "", "frequency": "i", "random-fourier": "ifi", "one-blob": "i", "super-gaussian": "if", "spherical-harmonics": "i",
}  # fmt: skip


def coordinate_features(name, numbers, level, coord):
    """Sections 4.10 to 4.15: the features (F,) of one coordinate."""
    x = [min(max(c, 0.0), 1.0) for c in coord]
    if name == "identity":
        return np.array([2 * c - 1 for c in x])
    if name == "frequency":
        return np.array([f(2**k * math.pi * c) for c in x for k in range(numbers[0]) for f in (math.sin, math.cos)])
    if name == "random-fourier":
        turns = [sum(b * c for b, c in zip(row, x, strict=True)) for row in normal_matrix(*numbers, len(x))]
        return np.array([f(2 * math.pi * t) for f in (math.cos, math.sin) for t in turns])
    if name == "one-blob":
        n = numbers[0]
        return np.array([math.exp(-((c - (i + 0.5) / n) ** 2) * n**2 / 2) for c in x for i in range(n)])
    if name == "super-gaussian":
        (n, power), out = numbers, []
        for c, widths in zip(x, level["widths"].tolist(), strict=True):
            for i, w in enumerate(widths):
                s = 2 ** (min(max(w, -256), 256) / 8) / n
                out.append(math.exp(-((c - (i + 0.5) / n) ** 2) / (2 * s * s)) ** power)
        return np.array(out)
    return np.array([harmonic(order, m, direction(x)) for order in range(numbers[0]) for m in range(-order, order + 1)])


def normal_matrix(m, sigma, seed, d):
    def h(n):
        v = (n * 0x9E3779B9 + seed) % 2**32
        v = ((v ^ v >> 16) * 0x85EBCA6B) % 2**32
        v = ((v ^ v >> 13) * 0xC2B2AE35) % 2**32
        return v ^ v >> 16

    def entry(e):
        hashes = [h(6 * e + k) for k in range(6)]
        return sigma * (sum((v >> 16) + (v & 0xFFFF) for v in hashes) - 6 * 65535) / 65536

    return [[entry(j * d + k) for k in range(d)] for j in range(m)]


def direction(x):
    if len(x) == 2:
        t, p = math.pi * x[0], 2 * math.pi * x[1]
        return math.sin(t) * math.cos(p), math.sin(t) * math.sin(p), math.cos(t)
    u = [2 * c - 1 for c in reversed(x)]
    length = math.hypot(*u)
    return tuple(c / length for c in u) if length > 1e-9 else (0.0, 0.0, 0.0)


def harmonic(order, m, u):
    """Y_lm by the derivatives of Rodrigues' formula, P_l = d^l/dz^l (z^2 - 1)^l / (2^l l!)."""
    x, y, z = u
    power = np.polynomial.Polynomial([-1, 0, 1]) ** order
    q = power.deriv(order + abs(m))(z) / (2**order * math.factorial(order)) if order + abs(m) else 1.0
    a = (complex(x, y) ** abs(m)).imag if m < 0 else (complex(x, y) ** m).real
    n = math.sqrt((2 * order + 1) / (4 * math.pi) * math.factorial(order - abs(m)) / math.factorial(order + abs(m)))
    return n * (math.sqrt(2) if m else 1) * q * a


def activate(name, v, numbers):
    """Section 6: act of v (W,) float64."""
    one = dict(zip("pq", numbers, strict=False))
    p, q = one.get("p", 0.0), one.get("q", 0.0)
    return {
        "identity": lambda: v,
        "relu": lambda: np.maximum(v, 0),
        "prelu": lambda: np.where(v > 0, v, p * v),
        "sine": lambda: np.sin(p * v),
        "tanh": lambda: np.tanh(v),
        "sigmoid": lambda: 1 / (1 + np.exp(-v)),
        "silu": lambda: v / (1 + np.exp(-v)),
        "softplus": lambda: np.log(1 + np.exp(p * v)) / p,
        "gaussian": lambda: np.exp(-(v**2) / (2 * p**2)),
        "quadratic": lambda: 1 / (1 + (p * v) ** 2),
        "multi-quadratic": lambda: 1 / np.sqrt(1 + (p * v) ** 2),
        "laplacian": lambda: np.exp(-np.abs(v) / p),
        "super-gaussian": lambda: np.exp(-(v**2) / (2 * p**2)) ** q,
        "expsin": lambda: np.exp(-np.sin(p * v)),
        "gabor": lambda: np.cos(p * v) * np.exp(-((q * v) ** 2)),
        "finer": lambda: np.sin(p * (np.abs(v) + 1) * v),
    }[name]()


def closest_weights(u, a, b, c):
    """Section 4.9: weights of the point of a triangle that is closest to u, and its squared distance."""
    ab, ac = b - a, c - a
    d1, d2, d3, d4, d5, d6 = ab @ (u - a), ac @ (u - a), ab @ (u - b), ac @ (u - b), ab @ (u - c), ac @ (u - c)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    if d1 <= 0 and d2 <= 0:
        w = (1, 0, 0)
    elif d3 >= 0 and d4 <= d3:
        w = (0, 1, 0)
    elif d6 >= 0 and d5 <= d6:
        w = (0, 0, 1)
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        w = (1 - d1 / (d1 - d3), d1 / (d1 - d3), 0)
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        w = (1 - d2 / (d2 - d6), 0, d2 / (d2 - d6))
    elif va <= 0 and d4 >= d3 and d5 >= d6:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        w = (0, 1 - t, t)
    else:
        w = (va / (va + vb + vc), vb / (va + vb + vc), vc / (va + vb + vc))
    away = u - (w[0] * a + w[1] * b + w[2] * c)
    return np.array(w), away @ away
