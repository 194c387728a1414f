"""Prints TAIL of math.rs: a polynomial Q of degree 8 for which t·Q(t)·exp(−z²) is the complementary error function of z, where
t = 1 / (1 + 0.4·z). The factor 0.4 is the best of 0.3, 0.33 … 0.6.

Least squares of the relative error at Chebyshev's nodes. Needs numpy.
"""

import math

import numpy as np
from numpy.polynomial import chebyshev, polynomial

FACTOR, DEGREE, NODES = 0.4, 8, 400


def scaled(z):
    """erfc(z)·exp(z²); its asymptotic series where the two leave f64."""
    if z < 25:
        return math.erfc(z) * math.exp(z * z)
    term = total = 1.0
    for k in range(1, 8):
        term *= -(2 * k - 1) / (2 * z * z)
        total += term
    return total / (z * math.sqrt(math.pi))


def expected(t):
    return np.array([scaled((1 / at - 1) / FACTOR) / at for at in t])


nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
values = expected((nodes + 1) / 2)
fitted = chebyshev.cheb2poly(chebyshev.chebfit(nodes, values, DEGREE, w=1 / values))
# From a polynomial of x = 2t − 1 to one of t.
tail = np.zeros(1)
for coefficient in fitted[::-1]:
    tail = polynomial.polyadd(polynomial.polymul(tail, [-1, 2]), [coefficient])[: DEGREE + 1]
print("highest power first:", ", ".join(f"{coefficient:.9f}" for coefficient in tail[::-1]))

t = np.linspace(1e-3, 1, 20_001).astype(np.float32)
sums = np.full_like(t, np.float32(tail[-1]))
for coefficient in tail[-2::-1]:
    sums = sums * t + np.float32(coefficient)
print(f"relative error in f32: {np.abs(sums / expected(t.astype(float)) - 1).max():.1e}")
