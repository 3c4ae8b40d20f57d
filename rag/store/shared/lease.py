"""Who makes something that several machines want: the one whose object came to be.

The right to make a thing are objects ``leases/KEY/00000001``, ``2``, ...: the last one counts. It is made only if there
is none of that number, so that one of several who want it gets it; its holder writes it again every few seconds while
at work, and at last writes that it is free. One that has not changed for a minute is its holder's no more, whatever the
clocks say.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rag.errors import ServerError
from rag.store.shared.bucket import Bucket
from rag.waiting import waiting

__all__ = ["leased"]

logger = logging.getLogger("rag.store")

BEAT = 10.0
"""Seconds between two signs of life."""

PATIENCE = 60.0
"""Seconds without one after which a holder counts as dead."""

LOOK = 1.0
"""Seconds between two looks at another's lease."""


@contextmanager
def leased(bucket: Bucket, key: str) -> Iterator[None]:
    """Be the only one of all machines who makes a thing; others wait. What one makes who was taken for dead is the same
    as what the next makes, so that nothing is lost but work.

    Args:
        bucket: That the machines share.
        key: Of the thing.
    """
    with waiting():
        name = _acquired(bucket, key)
    done = threading.Event()

    def beat() -> None:
        count = 0
        while not done.wait(BEAT):
            count += 1
            with suppress(ServerError):
                bucket.write(name, _text(count))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(ServerError):  # else it is free in a minute
            bucket.write(name, _text(None))


def _acquired(bucket: Bucket, key: str) -> str:
    """Name of the lease that is ours."""
    seen: tuple[str, bytes | None] | None = None
    since = time.monotonic()
    said = False
    while True:
        names = sorted(bucket.names(f"leases/{key}"))
        content = bucket.read(names[-1]) if names else None
        free = not names or content is None or json.loads(content).get("beat") is None
        if not free and seen != (names[-1], content):
            seen, since = (names[-1], content), time.monotonic()
        if free or time.monotonic() - since > PATIENCE:
            number = int(names[-1].rpartition("/")[2]) + 1 if names else 1
            name = f"leases/{key}/{number:08d}"
            if bucket.write_new(name, _text(0)):
                if max(bucket.names(f"leases/{key}")) == name:
                    for old in names:
                        bucket.remove(old)
                    return name
                bucket.remove(name)  # the list was an old one: others were quicker, more than once
            continue
        if not said:
            logger.warning("waiting for another machine that computes the same (%s)", key[:12])
            said = True
        time.sleep(LOOK)


def _text(beat: int | None) -> bytes:
    return json.dumps({"beat": beat, "nonce": uuid.uuid4().hex}).encode()
