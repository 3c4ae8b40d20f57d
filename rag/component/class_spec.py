"""A component class as introspection sees it, and the check of what its constructor is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rag.component.parameters import ComponentMeta, Parameter, read_docstring, read_parameters
from rag.component.values import mapped, without_numpy
from rag.errors import ConfigError, Mistakes, did_you_mean

__all__ = ["ClassSpec", "checked_arguments"]


class ClassSpec:
    """A component class as introspection sees it, ``Flat.spec``: its parameters and its documentation."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The constructor's parameters by name."""
        return _parameters(self._cls)

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return read_docstring(self._cls)[0]

    @property
    def doc(self) -> str:
        """The docstring without its ``Args:``."""
        return read_docstring(self._cls)[1]

    @property
    def label(self) -> str:
        """How messages name it: its registered type, or the class's name."""
        return f"'{self._cls.type}'" if self._cls.type else self._cls.__name__


def checked_arguments(
    spec: ClassSpec,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    fresh: Callable[[Any], Any],
) -> dict[str, Any]:
    """Values of all arguments of a constructor by name, defaults filled in.

    Args:
        spec: The class.
        signature: Signature of its constructor, ``self`` included.
        args: Arguments by position.
        kwargs: Arguments by name.
        fresh: Gives what stands for a leaf of a default, which no two components share.

    Raises:
        ConfigError: Every mistake in the values; or the first argument that the constructor does not have.
    """
    label, parameters = spec.label, spec.parameters
    try:
        given = signature.bind_partial(None, *args, **kwargs).arguments
    except TypeError as error:
        unknown = [name for name in kwargs if name not in parameters]
        if unknown:
            message = f"unknown argument '{unknown[0]}' of {label}{did_you_mean(unknown[0], parameters)}"
            raise ConfigError(message, parameter=unknown[0]) from None
        raise ConfigError(f"{label}: {error}") from None
    values: dict[str, Any] = {}
    mistakes = Mistakes()
    for parameter in parameters.values():
        if parameter.name in given:
            value = mapped(given[parameter.name], without_numpy)
            for inner, message in parameter.errors(value):
                path = ".".join(map(str, (parameter.name, *inner)))
                mistakes.add(f"{label}: {path} {message}", path="")
        elif parameter.required:
            mistakes.add(f"{label}: missing argument '{parameter.name}'")
            continue
        else:
            value = mapped(parameter.default, fresh)
        values[parameter.name] = value
    mistakes.check()
    return values


@functools.cache
def _parameters(cls: ComponentMeta) -> Mapping[str, Parameter]:
    component = next(base for base in reversed(cls.__mro__) if isinstance(base, ComponentMeta))
    return read_parameters(cls, frozenset(name for name in dir(component) if not name.startswith("__")))
