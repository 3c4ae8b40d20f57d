"""Introspection of a component class, and the check of its constructor's arguments."""

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
    """Introspection of a component class, ``Flat.spec``: its parameters and its documentation."""

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
        """Name in messages: its registered type, or the class's name."""
        return f"'{self._cls.type}'" if self._cls.type else self._cls.__name__


def checked_arguments(
    spec: ClassSpec,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    fresh: Callable[[Any], Any],
) -> dict[str, Any]:
    """Validate the arguments of a constructor and fill in defaults.

    Args:
        spec: Introspection of the class.
        signature: Signature of its constructor, ``self`` included.
        args: Arguments by position.
        kwargs: Arguments by name.
        fresh: Function that copies a leaf of a default, so that no two components share it.

    Raises:
        ConfigError: All mistakes in the values; or the first unknown argument.
    """
    label, parameters = spec.label, spec.parameters
    try:
        bound = signature.bind_partial(None, *args, **kwargs).arguments
    except TypeError as error:
        unknown = [name for name in kwargs if name not in parameters]
        if unknown:
            message = f"unknown argument '{unknown[0]}' of {label}{did_you_mean(unknown[0], parameters)}"
            raise ConfigError(message, parameter=unknown[0]) from None
        raise ConfigError(f"{label}: {error}") from None
    values: dict[str, Any] = {}
    mistakes = Mistakes()
    for parameter in parameters.values():
        if parameter.name in bound:
            value = mapped(bound[parameter.name], without_numpy)
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
