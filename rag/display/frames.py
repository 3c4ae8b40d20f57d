"""Tables as data frames of the library that the caller uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rag.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Backend", "frame"]

Backend = Literal["pandas", "polars", "pyarrow"]
"""The library of a data frame. pandas and pyarrow are always installed; polars is not."""

_BACKENDS = ("pandas", "polars", "pyarrow")


def frame(table: pa.Table, backend: Backend = "pandas") -> Any:
    """Convert an Arrow table to a data frame.

    Raises:
        ConfigError: An unknown backend.
        MissingExtraError: polars is not installed.
    """
    if backend not in _BACKENDS:
        raise ConfigError(f"must be one of {', '.join(_BACKENDS)}, got {backend!r}", parameter="backend")
    if backend == "polars":
        try:
            import polars
        except ModuleNotFoundError:
            raise MissingExtraError("a data frame of polars", package="polars", extra="polars") from None
        return polars.from_arrow(table)
    return table.to_pandas() if backend == "pandas" else table
