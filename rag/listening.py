"""Pieces of an answer, handed on while a language model writes it.

Who listens is known by the context, as the open span is: between the one who wants the pieces and the model there are
stages, summarizers, their store and their threads, none of which has a use for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Listener", "listener", "listening"]

Listener = Callable[[str], object]
"""Takes the next piece of an answer, in any thread; an empty one only says that the model is at work. An exception that
it raises ends the writing.
"""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def listener() -> Listener | None:
    """Who wants the pieces of what is written now; None for nobody."""
    return _LISTENER.get()


@contextmanager
def listening(listen: Listener | None) -> Iterator[None]:
    """Hand pieces of what language models write inside to a listener: of one text, since they do not say of which."""
    token = _LISTENER.set(listen)
    try:
        yield
    finally:
        _LISTENER.reset(token)
