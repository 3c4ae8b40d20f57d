"""Functions that say which argument was meant: one misspelled is never ignored, nor told by its name alone."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rag.errors import ConfigError, did_you_mean

__all__ = ["refuses_unknown"]

P = ParamSpec("P")
R = TypeVar("R")


def refuses_unknown(function: Callable[P, R]) -> Callable[P, R]:
    """The same function; a keyword argument that it does not have is a ConfigError which names the nearest.

    Example:
        >>> @refuses_unknown
        ... def search(query, *, top_k=10): ...
        >>> search("cats", topk=5)
        Traceback (most recent call last):
        rag.errors.ConfigError: topk: unknown argument 'topk' of search; did you mean 'top_k'? (valid: query, top_k)
    """
    parameters = inspect.signature(function).parameters
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    valid = frozenset(
        name for name, parameter in parameters.items() if parameter.kind in named and name not in ("self", "cls")
    )

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in valid:
                message = f"unknown argument '{name}' of {function.__name__}{did_you_mean(name, valid)}"
                raise ConfigError(message, parameter=name)
        return function(*args, **kwargs)

    return checked
