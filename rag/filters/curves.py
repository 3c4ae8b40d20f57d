"""From a score to a logit: families of curves with parameters that a network gives for each query.

The same code runs on numpy arrays, when searching, and on torch tensors, when learning: ``xp`` is the module.
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["LEAST", "Family", "logits", "n_parameters", "softplus", "stretched"]

Family = Literal["linear", "sqrt", "quadratic", "power"]

LEAST = 1e-6
"""Scores nearer to 0 count as this far from it, where a root or a power would have no finite slope."""

_EXPONENT = {"linear": 1.0, "sqrt": 0.5, "quadratic": 2.0}


def n_parameters(family: Family) -> int:
    """Slope and offset; ``power`` has an exponent too."""
    return 3 if family == "power" else 2


def stretched(x: Any, family: Family, xp: Any, exponent: Any = None) -> Any:
    """``sgn(x) |x|^k``: odd and increasing for every k > 0, so negative scores are no trouble."""
    if family == "linear":
        return x
    size = xp.clip(xp.abs(x), LEAST, None)
    k = exponent if family == "power" else _EXPONENT[family]
    return xp.sign(x) * xp.exp(k * xp.log(size))


def logits(raw: Any, x: Any, family: Family, xp: Any, *, slope: float, offset: float, monotone: bool) -> Any:
    """``a sgn(x) |x|^k + b`` (Rossi et al. 2024).

    Args:
        raw: What the network gives, [..., parameters]: for zeros the curve is ``slope x + offset``, ``k = 1``.
        x: Scores [..., k].
        family: Which curve.
        xp: numpy or torch.
        slope: ``a`` before anything is learned.
        offset: ``b`` before anything is learned.
        monotone: Whether ``a`` is kept above 0 by a softplus.
    """
    # softplus(0.5413) is 1
    a = softplus(raw[..., :1] + 0.5413, xp) * slope if monotone else (raw[..., :1] + 1.0) * slope
    b = raw[..., 1:2] + offset
    k = 2.0 / (1.0 + xp.exp(-raw[..., 2:3])) if family == "power" else None
    return a * stretched(x, family, xp, k) + b


def softplus(x: Any, xp: Any) -> Any:
    return xp.clip(x, 0.0, None) + xp.log1p(xp.exp(-xp.abs(x)))
