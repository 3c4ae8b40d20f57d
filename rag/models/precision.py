"""Devices, and the precision that models compute in."""

from __future__ import annotations

import functools
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from rag.errors import ModelError, first_line
from rag.models.threads import settle_threads

__all__ = [
    "Device",
    "LibraryPrecision",
    "Precision",
    "exclusive",
    "has_fast_bfloat16",
    "has_vnni",
    "inference",
    "resolve_device",
    "resolved_precision",
]

Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]
"""``auto`` computes in bfloat16 where the processor multiplies it in hardware, else in float32; ``float16`` is for
GPUs, ``int8`` for CPUs."""

LibraryPrecision = Literal["auto", "float32", "bfloat16"]
"""What models are computed in that only sentence-transformers reads."""

Device = str
"""``auto``, or a torch device such as ``cpu``, ``cuda`` or ``cuda:1``."""

_ONE_AT_A_TIME = threading.RLock()


@functools.cache
def resolve_device(device: Device) -> str:
    """``auto`` as the best device there is. Every model asks before it is loaded, so this settles the threads too.

    Raises:
        ModelError: The device does not exist here.
    """
    import torch

    settle_threads()
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device '{device}' cannot be used: {first_line(error)}") from None
    return device


def resolved_precision(precision: Precision, device: Device) -> Precision:
    """What ``auto`` computes passages in on this machine."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(resolve_device(device).partition(":")[0]) else "float32"


@contextmanager
def exclusive() -> Iterator[None]:
    """Around tokenizing and forward passes: one thread at a time. Tokenizers must not be shared between threads (they
    raise "Already borrowed"), and a pass has all cores busy as it is.
    """
    with _ONE_AT_A_TIME:
        yield


@contextmanager
def inference(precision: Precision, device_type: str) -> Iterator[None]:
    """Around a forward pass of a library: autocast where asked for and sensible, and :func:`exclusive`.

    Weights stay float32: normalization and softmax are computed exactly, products of matrices in 16 bits.
    """
    import torch

    half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    if precision == "auto" and has_fast_bfloat16(device_type):
        half = torch.bfloat16
    with exclusive(), nullcontext() if half is None else torch.autocast(device_type, dtype=half):
        yield


@functools.cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Whether products of bfloat16 matrices are made in hardware: tensor cores, or AMX or AVX-512 BF16 on a CPU."""
    import torch

    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu":
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False


@functools.cache
def has_vnni() -> bool:
    """Whether the processor adds products of 8 bits in 32. Where it adds two of them in 16, they may not fit, and
    weights leave one of their bits unused.
    """
    import torch

    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    added_wide = capabilities.get("avx512_vnni") or capabilities.get("avx_vnni") or capabilities.get("amx_int8")
    return bool(added_wide) or platform.machine() in ("arm64", "aarch64")
