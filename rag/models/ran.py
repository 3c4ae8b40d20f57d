"""What the models of this process were computed by, and what would compute them here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from rag.models.engines import ENGINES
from rag.models.precision import Precision, resolved_precision

__all__ = ["engines_here", "ran", "tell", "tell_library"]

logger = logging.getLogger("rag.models")

_ran: dict[str, list[str]] = {}


def ran() -> Mapping[str, Sequence[str]]:
    """What the models of this process were computed by, in words, by their names."""
    return {name: tuple(words) for name, words in _ran.items()}


def tell(name: str, words: str) -> None:
    """Note what computes a model, once; ``rag --verbose`` shows it.

    Args:
        name: The model.
        words: What computes it, in which precision.
    """
    known = _ran.setdefault(name, [])
    if words not in known:
        logger.info("model %s: %s", name, words)
        known.append(words)


def tell_library(name: str, library: str, precision: Precision, device: str) -> None:
    """Note that a model is computed by the library that it comes from.

    Args:
        name: The model.
        library: Its package.
        precision: What it computes in; ``auto`` as it is resolved on the device.
        device: A torch device.
    """
    tell(name, f"torch ({library}), {resolved_precision(precision, device)}")


def engines_here() -> str:
    """What computes models built like BERT on this machine with ``backend: auto``, by precision; nothing heavy is
    imported.
    """
    parts = ["torch (lean BERT)"]
    for engine in ENGINES.values():
        if engine.is_installed:
            parts.append(f"{engine.title} {engine.version} ({', '.join(engine.precisions)})")
        else:
            parts.append(f"{engine.title} is not installed (extra '{engine.name}')")
    return (
        f"On this machine models built like BERT are computed on a CPU by {'; '.join(parts)}. All others are computed "
        "by torch (sentence-transformers). What computed a model is in metrics.json and in the output of rag --verbose."
    )
