"""Products with weights, in several precisions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from rag.models.precision import has_vnni

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["linear"]


def linear(precision: str, weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """A function that maps rows ``x`` to ``x @ weight.T + bias``.

    Args:
        precision: ``float32``, ``bfloat16``, or ``int8``: weights by output, rows as they come, each with a scale of
            its own, so that what a text becomes does not hang on what else is in its batch.
        weight: float32 [outputs, inputs].
        bias: float32 [outputs].
    """
    import torch
    from torch.nn import functional

    if precision == "int8":
        scale = weight.abs().amax(dim=1).clamp_min(1e-12) / (127 if has_vnni() else 63)
        whole = (weight / scale[:, None]).round().to(torch.int8).t()
        return functools.partial(_int8, whole, scale, bias)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return functools.partial(_float, functional.linear, weight.to(dtype).contiguous(), bias.to(dtype).contiguous())


def _float(function: Callable[..., Tensor], weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return function(x, weight, bias)


def _int8(weight: Tensor, scale: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    import torch

    size = x.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    product = torch._int_mm((x / size).round().to(torch.int8), weight)
    return product.float().mul_(size).mul_(scale).add_(bias)
