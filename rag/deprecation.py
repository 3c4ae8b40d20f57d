"""Names and arguments on their way out: they work, and say once what to write instead.

The policy is in ``CONTRIBUTING.md``. A release whose version has reached ``removed_in`` fails its tests until what was
promised to go is gone.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

__all__ = ["Deprecation", "DeprecationNotice", "deprecated", "overdue"]

P = ParamSpec("P")
R = TypeVar("R")


class DeprecationNotice(FutureWarning):
    """What is used goes in a later version. Shown by default, since it concerns those who run a program, too."""


@dataclass
class Deprecation:
    """A name or an argument on its way out.

    Args:
        name: What goes, as people write it: ``Pipeline.find()``, ``the argument 'k' of 'bm25'``.
        since: The version that deprecates it: ``0.3``.
        removed_in: The version that no longer has it.
        instead: What to write.

    Example:
        .. code-block:: python

            _K = Deprecation("the argument 'k' of search()", since="0.3", removed_in="0.5", instead="top_k")

            def search(query, top_k=None, k=None):
                if k is not None:
                    _K.warn()
                    top_k = k
    """

    name: str
    since: str
    removed_in: str
    instead: str

    def __post_init__(self) -> None:
        if _version(self.since) >= _version(self.removed_in):
            raise ValueError(f"{self.name}: removed in {self.removed_in}, but deprecated only since {self.since}")
        self._said = False
        _ALL.append(self)

    @property
    def message(self) -> str:
        """The sentence that users read."""
        return f"{self.name} is deprecated since {self.since} and goes in {self.removed_in}: use {self.instead}"

    def warn(self, *, stacklevel: int = 2) -> None:
        """Warn, once in a process.

        Args:
            stacklevel: As of :func:`warnings.warn`, counted from the caller: 2 is the line that called the caller.
        """
        if not self._said:
            self._said = True
            warnings.warn(self.message, DeprecationNotice, stacklevel=stacklevel + 1)


def deprecated(*, since: str, removed_in: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function or a method as deprecated: a decorator.

    Args:
        since: The version that deprecates it.
        removed_in: The version that no longer has it.
        instead: What to write.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        notice = Deprecation(f"{function.__qualname__}()", since=since, removed_in=removed_in, instead=instead)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            notice.warn()
            return function(*args, **kwargs)

        return called

    return mark


def overdue(version: str) -> list[str]:
    """Messages of all that a version has promised to be without."""
    return [notice.message for notice in _ALL if _version(notice.removed_in) <= _version(version)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


_ALL: list[Deprecation] = []
