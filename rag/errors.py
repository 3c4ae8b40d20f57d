"""Everything this project raises on purpose.

::

    RagError                something a user can fix; the CLI prints it and exits 2
    ├── ConfigError         a pipeline, a component argument or a config file is wrong
    ├── DataError           documents, queries or judgments are wrong
    ├── ModelError          a model cannot be found, loaded or gives unusable output
    │   └── IncompleteError a model failed for too many texts for a valid result
    ├── ArtifactError       a saved file is damaged, incomplete or of another format
    ├── ServerError         a server of vectors or computations cannot be reached, or refuses a request
    ├── NotFittedError      a component was used before it was fitted
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
    "ServerError",
    "cannot_be",
    "did_you_mean",
    "first_line",
    "system_message",
]


class Fitted(Protocol):
    """A component, by its kind and type."""

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
    """A place in a file. ``line`` and ``column`` count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a configuration.

    Args:
        message: The mistake, the rule and the valid values.
        path: Path in the tree, such as ``retriever.index.m``; empty for the root.
        location: Place in a file; None for a configuration from Python.
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
        parameter: The argument at fault, from which its place in a file is found; empty for none.
    """

    def __init__(self, mistakes: str | Sequence[Mistake], *, parameter: str = "") -> None:
        if isinstance(mistakes, str):
            mistakes = [Mistake(mistakes, path=parameter)]
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        self.parameter = parameter
        super().__init__("\n".join(map(str, self.mistakes)))


class Mistakes(list[Mistake]):
    """All mistakes found in one pass, reported together in the order of their places."""

    def add(self, message: str, path: str = "", location: Location | None = None) -> None:
        """Add a mistake; a location without a file counts as none."""
        self.append(Mistake(message, path, location if location and location.file else None))

    def error(self) -> ConfigError:
        """All mistakes as one error."""
        return ConfigError(sorted(self, key=lambda mistake: mistake.location or Location("")))

    def check(self) -> None:
        """Raise the mistakes, if there are any.

        Raises:
            ConfigError: All mistakes.
        """
        if self:
            raise self.error()


class DataError(RagError):
    """Documents, queries or judgments that cannot be used."""


class ModelError(RagError):
    """A model that cannot be found or loaded, or whose output cannot be used."""


class IncompleteError(ModelError):
    """A model that failed for too many texts for a valid result; the CLI exits 1."""


class ServerError(RagError):
    """A server that cannot be reached, or that refuses a request. Messages never contain a password.

    Args:
        message: What is wrong.
        lost: Whether the connection was lost, so that a retry may help.
    """

    def __init__(self, message: str, *, lost: bool = False) -> None:
        self.lost = lost
        super().__init__(message)


class ArtifactError(RagError):
    """Something saved that is damaged, incomplete, or of a format this version does not read."""


class NotFittedError(RagError):
    """A component that was used before :meth:`fit` or :meth:`load`."""

    @classmethod
    def of(cls, component: Fitted) -> NotFittedError:
        """The error of a component inside a pipeline."""
        return cls(f"the {component.kind} '{component.type}' has not been fitted: fit the pipeline it is in first")


class MissingExtraError(RagError):
    """An optional dependency that is not installed.

    Args:
        feature: What needs it, in words.
        package: The package that is missing.
        extra: The extra of this distribution that installs it.
    """

    def __init__(self, feature: str, *, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{feature} needs the package '{package}', which is not installed: pip install 'rag-pipelines[{extra}]'"
        )


def first_line(error: BaseException) -> str:
    r"""The first line of an error message of another library; the kind of error if there is no message.

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
    """Turn errors of the system raised inside into one message: ``DIR: cannot be written: No space left on device``.

    Args:
        done: A participle, such as ``read`` or ``written``.
        path: The file or folder.
        kind: The class of the error that is raised.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be {done}: {system_message(error)}") from None


def did_you_mean(name: str, valid: Iterable[str], *, rest: str = "") -> str:
    """Suffix for a message about an unknown name: the nearest valid one (followed by ``rest``) and the list of all."""
    names = sorted(valid)
    if not names:
        return ""
    folded = {known.lower(): known for known in names}
    near = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
    hint = f"; did you mean '{folded[near[0]]}{rest}'?" if near else ""
    return f"{hint} (valid: {', '.join(names)})"
