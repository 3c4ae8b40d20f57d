"""``--on``: where the work of models is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rag.errors import ConfigError

if TYPE_CHECKING:
    from rag.cluster import Ray

__all__ = ["OnOption", "cluster_on", "executed_on"]

logger = logging.getLogger("rag.cluster")

OnOption = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="local|ray|ray://HOST:PORT",
        help="Where the work of models (in a sweep: whole trials) is done: here, by Ray on this machine, or by a "
        "cluster.",
    ),
]


@contextmanager
def cluster_on(where: str) -> Iterator[Ray | None]:
    """The cluster that ``--on`` names; None for this process.

    Raises:
        ConfigError: No such place.
    """
    if where == "local":
        yield None
        return
    if where != "ray" and not where.startswith("ray://"):
        raise ConfigError(f"must be local, ray or ray://HOST:PORT, got '{where}'", parameter="--on")
    from rag.cluster import Ray

    with Ray("local" if where == "ray" else where) as ray:
        yield ray


@contextmanager
def executed_on(where: str) -> Iterator[None]:
    """Have the work of models done there, while inside.

    Raises:
        ConfigError: No such place.
        ServerError: The cluster cannot be reached.
    """
    with cluster_on(where) as ray:
        if ray is None:
            yield
            return
        with ray.used():
            yield
        if not ray.is_connected:
            logger.warning("--on %s: the cluster was not used: no text had to be embedded and no pair scored", where)
