"""Families of curves from score to logit, with parameters predicted by a network for each query.

The code runs on numpy arrays for search and on torch tensors for learning: ``xp`` is the module.
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["LEAST", "Family", "logits", "n_parameters", "softplus", "stretched"]

Family = Literal["linear", "sqrt", "quadratic", "power"]

LEAST = 1e-6
"""Minimum distance of scores from 0, where a root or a power would have no finite slope."""

_EXPONENT = {"linear": 1.0, "sqrt": 0.5, "quadratic": 2.0}


def n_parameters(family: Family) -> int:
    """Number of parameters: slope and offset, and an exponent for ``power``."""
    return 3 if family == "power" else 2


def stretched(x: Any, family: Family, xp: Any, exponent: Any = None) -> Any:
    """Compute ``sgn(x) |x|^k``: odd and increasing for every k > 0, so it accepts negative scores."""
    if family == "linear":
        return x
    size = xp.clip(xp.abs(x), LEAST, None)
    k = exponent if family == "power" else _EXPONENT[family]
    return xp.sign(x) * xp.exp(k * xp.log(size))


def logits(raw: Any, x: Any, family: Family, xp: Any, *, slope: float, offset: float, monotone: bool) -> Any:
    """Compute ``a sgn(x) |x|^k + b`` (Rossi et al. 2024).

    Args:
        raw: Outputs of the network, [..., parameters]: for zeros the curve is ``slope x + offset``, ``k = 1``.
        x: Scores [..., k].
        family: Family of the curve.
        xp: numpy or torch.
        slope: Initial value of ``a``.
        offset: Initial value of ``b``.
        monotone: Whether ``a`` is kept above 0 by a softplus.
    """
    # softplus(0.5413) is 1
    a = softplus(raw[..., :1] + 0.5413, xp) * slope if monotone else (raw[..., :1] + 1.0) * slope
    b = raw[..., 1:2] + offset
    k = 2.0 / (1.0 + xp.exp(-raw[..., 2:3])) if family == "power" else None
    return a * stretched(x, family, xp, k) + b


def softplus(x: Any, xp: Any) -> Any:
    return xp.clip(x, 0.0, None) + xp.log1p(xp.exp(-xp.abs(x)))
