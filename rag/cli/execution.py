"""``--on``: where the work of models is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from rag.errors import ConfigError

__all__ = ["OnOption", "executed_on"]

logger = logging.getLogger("rag.cluster")

OnOption = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="local|ray|ray://HOST:PORT",
        help="Where texts are embedded and pairs scored: here, by Ray on this machine, or by a cluster.",
    ),
]


@contextmanager
def executed_on(where: str) -> Iterator[None]:
    """Have the work of models done there, while inside.

    Raises:
        ConfigError: No such place.
        ServerError: The cluster cannot be reached.
    """
    if where == "local":
        yield
        return
    if where != "ray" and not where.startswith("ray://"):
        raise ConfigError(f"must be local, ray or ray://HOST:PORT, got '{where}'", parameter="--on")
    from rag.cluster import Ray

    with Ray("local" if where == "ray" else where) as ray, ray.used():
        yield
        if not ray.is_connected:
            logger.warning("--on %s: the cluster was not used: no text had to be embedded and no pair scored", where)
