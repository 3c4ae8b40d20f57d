"""Products with weights, in several precisions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rag.models.precision import has_vnni

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Product", "linear"]

Product = Callable[["Tensor"], "Tensor"]
"""Maps rows [n, inputs] to rows [n, outputs]."""

_ROWS = 256
"""Rows for which oneDNN lays out weights; with other numbers of rows they are read as well."""


def linear(
    precision: str, weight: Tensor, bias: Tensor, *, activation: Product | None = None, packed: bool = False
) -> Product:
    """A function that maps rows ``x`` to ``x @ weight.T + bias``.

    Args:
        precision: ``float32``, ``bfloat16``, or ``int8``: weights by output, rows as they come, each with a scale of
            its own, so that what a text becomes does not depend on what else is in its batch.
        weight: float32 [outputs, inputs].
        bias: float32 [outputs].
        activation: What follows the product; ``torch.nn.functional.gelu`` is computed with it where it can be.
        packed: Keep a second copy of the weights as oneDNN multiplies them, where torch has it. On a processor with
            AVX-512 products with 384 rows were 1.05 to 1.1 times as fast, with 32 rows up to 1.4 times.
    """
    import torch
    from torch.nn import functional

    if precision == "int8":
        scale = weight.abs().amax(dim=1).clamp_min(1e-12) / (127 if has_vnni() else 63)
        whole = (weight / scale[:, None]).round().to(torch.int8).t()
        product: Product = functools.partial(_int8, whole, scale, bias)
    else:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        weight, bias = weight.to(dtype).contiguous(), bias.to(dtype).contiguous()
        gelu = activation is functional.gelu
        by_onednn = _by_onednn(weight, bias, gelu) if packed else None
        if by_onednn is not None and gelu:
            return by_onednn
        product = by_onednn or functools.partial(_float, functional.linear, weight, bias)
    return product if activation is None else functools.partial(_then, activation, product)


def _by_onednn(weight: Tensor, bias: Tensor, gelu: bool) -> Product | None:
    """The product by oneDNN; None where torch has none, or none by these names, which only its own compiler uses."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        after: tuple[Any, ...] = ("gelu", [], "none") if gelu else ("none", [], "")
        product = functools.partial(_packed, torch.ops.mkldnn._linear_pointwise, packed, bias, after)
        product(weight.new_zeros(1, weight.shape[1]))
    except (AttributeError, TypeError, RuntimeError):
        return None
    return product


def _float(function: Callable[..., Tensor], weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return function(x, weight, bias)


def _packed(function: Callable[..., Tensor], weight: Tensor, bias: Tensor, after: tuple[Any, ...], x: Tensor) -> Tensor:
    return function(x, weight, bias, *after)


def _int8(weight: Tensor, scale: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    import torch

    size = x.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    product = torch._int_mm((x / size).round().to(torch.int8), weight)
    return product.float().mul_(size).mul_(scale).add_(bias)


def _then(function: Product, product: Product, x: Tensor) -> Tensor:
    return function(product(x))
