"""Everything this project raises on purpose.

::

    RagError                something a user can put right; the CLI prints it and exits 2
    ├── ConfigError         a pipeline, a component argument or a config file is wrong
    ├── DataError           documents, queries or judgments are wrong
    ├── ModelError          a model cannot be found, loaded or gives unusable output
    │   └── IncompleteError a model failed for so many texts that the result is not what was asked for
    ├── ArtifactError       something saved is damaged, incomplete or of another format
    ├── NotFittedError      a component was asked before it was fitted
    └── MissingExtraError   an optional dependency is not installed

A message names the parameter, the rule and the value, and what is available.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "IncompleteError",
    "Location",
    "MissingExtraError",
    "Mistake",
    "Mistakes",
    "ModelError",
    "NotFittedError",
    "RagError",
    "cannot_be",
    "did_you_mean",
    "first_line",
    "system_message",
]


class Fitted(Protocol):
    """What has a kind and a type: a component."""

    kind: ClassVar[str]
    type: ClassVar[str]


class RagError(Exception):
    """Base of every error raised on purpose by this project."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Whatever its constructor takes, it comes out of another process as it was.
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(cls: type[RagError], args: tuple[Any, ...], state: dict[str, Any]) -> RagError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Where something was written. ``line`` and ``column`` count from 1; 0 means "the whole of it"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a configuration.

    Args:
        message: What is wrong, the rule and what would be right.
        path: Where in the tree, such as ``retriever.index.m``; empty for the root.
        location: Where in a file, when it came from one.
    """

    message: str
    path: str = ""
    location: Location | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.location or ""), self.path, self.message) if part)


class ConfigError(RagError):
    """One or more mistakes in a pipeline or in a component's arguments.

    Args:
        mistakes: A message, or every mistake found.
        parameter: The argument at fault, when the message is about one: places it in a file.
    """

    def __init__(self, mistakes: str | Sequence[Mistake], *, parameter: str = "") -> None:
        if isinstance(mistakes, str):
            mistakes = [Mistake(mistakes, path=parameter)]
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        self.parameter = parameter
        super().__init__("\n".join(map(str, self.mistakes)))


class Mistakes(list[Mistake]):
    """Everything wrong that is found in one pass; told together, in the order of places."""

    def add(self, message: str, path: str = "", location: Location | None = None) -> None:
        """Add a mistake; a location without a file is none."""
        self.append(Mistake(message, path, location if location and location.file else None))

    def error(self) -> ConfigError:
        """All of them as one error."""
        return ConfigError(sorted(self, key=lambda mistake: mistake.location or Location("")))

    def check(self) -> None:
        """Go on where there are none.

        Raises:
            ConfigError: All of them.
        """
        if self:
            raise self.error()


class DataError(RagError):
    """Documents, queries or judgments that cannot be used."""


class ModelError(RagError):
    """A model that cannot be found or loaded, or whose output cannot be used."""


class IncompleteError(ModelError):
    """A model that failed for so many texts that the result is not what was asked for; the CLI exits 1."""


class ArtifactError(RagError):
    """Something saved that is damaged, incomplete, or of a format this version does not read."""


class NotFittedError(RagError):
    """A component that was asked for answers before :meth:`fit` or :meth:`load`."""

    @classmethod
    def of(cls, component: Fitted) -> NotFittedError:
        """The error of a component inside a pipeline."""
        return cls(f"the {component.kind} '{component.type}' has not been fitted: fit the pipeline it is in first")


class MissingExtraError(RagError):
    """An optional dependency that is not installed.

    Args:
        what: The feature that needs it.
        package: The package that is missing.
        extra: The extra of this distribution that brings it.
    """

    def __init__(self, what: str, *, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{what} needs the package '{package}', which is not installed: pip install 'rag-pipelines[{extra}]'"
        )


def first_line(error: BaseException) -> str:
    r"""The first line of what another library says of an error; the kind of error where it says nothing.

    Example:
        >>> first_line(ValueError("no such file\nTraceback ..."))
        'no such file'
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def system_message(error: Exception) -> str:
    """Why the system refused something, without the name of the file.

    Example:
        >>> system_message(FileNotFoundError(2, "No such file or directory", "a.txt"))
        'No such file or directory'
    """
    return (error.strerror if isinstance(error, OSError) else None) or first_line(error)


@contextmanager
def cannot_be(done: str, path: object, kind: type[RagError] = ArtifactError) -> Iterator[None]:
    """Tell what the system refuses inside as one message: ``DIR: cannot be written: No space left on device``.

    Args:
        done: Such as ``read`` or ``written``.
        path: The file or folder.
        kind: What is raised.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be {done}: {system_message(error)}") from None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Suffix for a message about an unknown name: the nearest valid one and the list of all."""
    names = sorted(valid)
    if not names:
        return ""
    folded = {one.lower(): one for one in names}
    near = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
    hint = f"; did you mean '{folded[near[0]]}'?" if near else ""
    return f"{hint} (valid: {', '.join(names)})"
