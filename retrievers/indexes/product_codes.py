"""Sizes of product quantizers."""

from __future__ import annotations

from rag.errors import ConfigError

__all__ = ["parts_for"]


def parts_for(dimension: int, asked: int | None, per_part: int, label: str) -> int:
    """Parts that a vector is cut into: one for ``per_part`` dimensions, unless asked.

    Raises:
        ConfigError: More parts are asked for than there are dimensions.
    """
    if asked is not None and asked > dimension:
        raise ConfigError(
            f"{label}: n_parts must be at most the dimension of the vectors ({dimension}), got {asked}",
            parameter="n_parts",
        )
    return asked or max(1, dimension // per_part)
