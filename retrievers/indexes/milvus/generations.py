"""The generations of a collection: aliases of Milvus, which it makes and drops at once.

Every fit makes a collection of its own (its *base*: the name, when it was made, and a number), every update a
generation of it: rows are there from the generation they were ``born`` in until the one they ``died`` in. What is known
of a generation are aliases of its base::

    papers_68f0a1b2c3d4__g3__5a0c...          it is there and complete; its digest
    papers_68f0a1b2c3d4__g3__saved            a folder has it
    papers_68f0a1b2c3d4__g3__gone_490123      that folder gave it up, hours after 1970
    papers_68f0a1b2c3d4__g3__by_HOST_PID_490123  a process made it, and no folder has it yet
    papers_68f0a1b2c3d4__writing_HOST_PID_490123 a process writes

Readers search the first alias: where it was dropped, they are told, and never see rows of others.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import re
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rag.errors import ArtifactError, ServerError
from rag.retrievers.indexes.milvus.connection import MilvusServer

__all__ = [
    "FORMAT",
    "LIVING",
    "Generation",
    "Marks",
    "begun",
    "clean",
    "drop",
    "give_up",
    "keep",
    "made",
    "marks_of",
    "new_base",
    "remove",
    "writing",
]

FORMAT = 1
"""Of collections; a reader refuses a higher one."""

LIVING = 2**31 - 1
"""``died`` of rows that are there still."""

_UNNAMED_SECONDS = 3600
"""How long a collection without any alias may be one that is just being made."""

logger = logging.getLogger("rag.retrievers.indexes")


@dataclass(frozen=True)
class Generation:
    """A version of a collection's contents.

    Args:
        base: The collection.
        generation: Counts the updates of the base, from 1.
        rows: Number of rows.
        next_id: The number of the next row that is written.
        dimension: Dimension of the vectors; 0 for texts.
        digest: Hash of all rows.
    """

    base: str
    generation: int
    rows: int
    next_id: int
    dimension: int
    digest: str

    @property
    def alias(self) -> str:
        """The alias that says it is complete."""
        return f"{self.base}__g{self.generation}__{self.digest[:24]}"

    @property
    def visible(self) -> str:
        """The rows that are there, as an expression."""
        return f"born <= {self.generation} and died > {self.generation}"

    def mark(self, text: str) -> str:
        """An alias that says more of it."""
        return f"{self.base}__g{self.generation}__{text}"


@dataclass
class Marks:
    """What aliases say of a generation.

    Args:
        aliases: All of it.
        saved: Whether a folder had it.
        gone: When the folder gave it up, in hours after 1970; None for never.
        maker: Host, process and hour of who made it, while no folder has it.
    """

    aliases: list[str] = field(default_factory=list)
    saved: bool = False
    gone: int | None = None
    maker: tuple[str, int, int] | None = None

    def is_unneeded(self, hours: float) -> bool:
        """Whether nobody needs it: it was given up so many hours ago, or never saved by a process that has ended."""
        if self.gone is not None:
            return _hour() - self.gone >= hours
        return not self.saved and not (self.maker is not None and _is_alive(self.maker, hours))


def marks_of(client: Any, base: str) -> dict[int, Marks]:
    """What aliases say of the generations of a base, by number."""
    marks: dict[int, Marks] = {}
    for alias in client.list_aliases(base)["aliases"]:
        match = re.fullmatch(rf"{base}__g(\d+)__(.*)", alias)
        if not match:
            continue
        own = marks.setdefault(int(match[1]), Marks())
        own.aliases.append(alias)
        text = match[2]
        if text == "saved":
            own.saved = True
        elif text.startswith("gone_"):
            own.gone = int(text.removeprefix("gone_"))
        elif text.startswith("by_"):
            own.maker = _process(text.removeprefix("by_"))
    return marks


def new_base(name: str) -> str:
    """Name of a collection that nobody has."""
    return f"{name}_{int(time.time()):08x}{uuid.uuid4().hex[:6]}"


def begun(client: Any, base: str, number: int) -> None:
    """Say that this process makes the first generation of a base, so that nobody removes it."""
    client.create_alias(base, f"{base}__g{number}__by_{_own_process()}")


def made(client: Any, generation: Generation) -> None:
    """Say that a generation is complete, and that this process has it."""
    there = marks_of(client, generation.base).get(generation.generation)
    if there is None or there.maker is None:
        begun(client, generation.base, generation.generation)
    client.create_alias(generation.base, generation.alias)


def drop(client: Any, base: str) -> None:
    """Remove a base."""
    for alias in client.list_aliases(base)["aliases"]:
        client.drop_alias(alias)
    client.drop_collection(base)


def keep(client: Any, own: Generation) -> None:
    """Say that a folder holds a generation, or is about to."""
    there = marks_of(client, own.base).get(own.generation, Marks())
    if not there.saved:
        client.create_alias(own.base, own.mark("saved"))
    for alias in there.aliases:
        if re.search("__(by|gone)_", alias):
            client.drop_alias(alias)


def give_up(client: Any, generations: Sequence[Generation]) -> None:
    """Say that the folder that held generations does not any more."""
    for generation in generations:
        if client.has_collection(generation.base):
            left = marks_of(client, generation.base).get(generation.generation)
            if left is not None and left.gone is None:
                client.create_alias(generation.base, generation.mark(f"gone_{_hour()}"))


@contextmanager
def writing(server: MilvusServer, base: str) -> Iterator[None]:
    """The only writer of a base, while inside: others wait.

    Raises:
        ServerError: A writer on another machine does not end.
    """
    own = f"{base}__writing_{_own_process()}_{uuid.uuid4().hex[:6]}"
    deadline = time.monotonic() + server.timeout
    said = False
    while True:
        server.run("cannot be written", lambda client: client.create_alias(base, own))
        others = _writers(server, base, own)
        if not others:
            break
        _drop(server, own)
        for alias, process in others:
            if not _is_alive(process, 24):
                _drop(server, alias)
        if not said:
            logger.warning("waiting for another writer of the collection %s", base)
            said = True
        elif time.monotonic() > deadline and others[0][1][0] != _own_process().partition("_")[0]:
            raise ServerError(
                f"{server}: another machine has been writing the collection {base} for more than {server.timeout:g} s; "
                f"if it is not there any more, drop the alias {others[0][0]}"
            )
        time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - so that two who wait do not go on in step
    try:
        yield
    finally:
        with contextlib.suppress(ServerError, ArtifactError):
            _drop(server, own)


def _drop(server: MilvusServer, alias: str) -> None:
    server.run("cannot be written", lambda client: client.drop_alias(alias))


def _writers(server: MilvusServer, base: str, own: str) -> list[tuple[str, tuple[str, int, int]]]:
    start = f"{base}__writing_"
    aliases = server.run("cannot be written", lambda client: client.list_aliases(base)["aliases"])
    return [
        (alias, _process(alias.removeprefix(start))) for alias in aliases if alias.startswith(start) and alias != own
    ]


def clean(server: MilvusServer, name: str, hours: float, *, but: Generation | None = None) -> None:
    """Remove what nobody needs: generations that were never saved, by processes that are gone, and those that folders
    gave up so many hours ago.

    Args:
        server: The server.
        name: Of the collections.
        hours: Since a folder gave up a generation.
        but: A generation to keep.
    """

    def cleaned(client: Any) -> None:
        for base in client.list_collections():
            match = re.fullmatch(rf"{name}_([0-9a-f]{{8}})[0-9a-f]{{6}}", base)
            if not match:
                continue
            marks = marks_of(client, base)
            if not marks:
                if time.time() - int(match[1], 16) > _UNNAMED_SECONDS:
                    client.drop_collection(base)
                continue
            kept = (but.generation,) if but is not None and but.base == base else ()
            unneeded = [n for n, own in marks.items() if n not in kept and own.is_unneeded(hours)]
            remove(client, base, marks, unneeded)

    server.run("cannot be cleaned", cleaned)


def remove(client: Any, base: str, marks: dict[int, Marks], numbers: Sequence[int]) -> None:
    """Remove generations, and the rows that no other one has."""
    left = sorted(set(marks) - set(numbers))
    for number in numbers:
        for alias in marks[number].aliases:
            client.drop_alias(alias)
    if not numbers:
        return
    if not left:
        drop(client, base)
        return
    seen = " or ".join(f"(born <= {number} and died > {number})" for number in left)
    client.delete(base, filter=f"not ({seen}) and born <= {max(left)}")


def _hour() -> int:
    return int(time.time() // 3600)


def _own_process() -> str:
    host = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
    return f"{host}_{os.getpid()}_{_hour()}"


def _process(text: str) -> tuple[str, int, int]:
    host, process, hour, *_ = text.split("_")
    return host, int(process), int(hour)


def _is_alive(process: tuple[str, int, int], hours: float) -> bool:
    """Whether a process is there still; of one that cannot be asked, whether it may be."""
    host, number, hour = process
    if host != _own_process().partition("_")[0] or os.name == "nt":  # where signal 0 would not ask, but end it
        return _hour() - hour < max(hours, 24)
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
