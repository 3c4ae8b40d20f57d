"""Constructor signatures of components: parameters with their types, bounds, defaults and help texts."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import re
import types
import typing
from abc import ABCMeta
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rag.component.tunable import Tunable

__all__ = [
    "REQUIRED",
    "ComponentMeta",
    "Inherited",
    "Later",
    "Parameter",
    "Pattern",
    "Runtime",
    "Secret",
    "Slot",
    "describe_error",
    "read_docstring",
    "read_parameters",
    "signature_of",
]

T = TypeVar("T")

_VALIDATION = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()
"""Default of a parameter that has none."""


class Runtime:
    """Marks a parameter that changes speed but no result, ``Annotated[int, Runtime()]``; not in the fingerprint."""


class Later:
    """Marks a parameter that a component got later, ``Annotated[str, Later()]``: while it has its default, which must
    give the results of before, it is not in the fingerprint, so that saved pipelines and stores stay valid.
    """


class Pattern:
    """Marks a component-valued parameter that others are made like, ``Annotated[Index, Pattern()]``: it is never fitted
    itself, and no part of the tree.
    """


class Secret:
    """Marks a text that may hold credentials, ``Annotated[str, Secret()]``: its variables (``${NAME}``) stay as they
    are written, in the component and in every file, until whoever connects asks :func:`rag.config.revealed`.
    """


class Inherited:
    """Marks a component-valued parameter that is taken from the retriever of the pipeline when it is None,
    ``Annotated[Embedder | None, Inherited()]``.
    """


class ComponentMeta(ABCMeta):
    """Metaclass of components: checks arguments before ``__init__`` sees them and remembers them after."""

    kind: str

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        return typing.cast("T", cls._create(args, kwargs))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Slot:
    """A parameter that holds components.

    Args:
        contract: The class that the components must be of, such as ``Embedder``.
        container: ``one``, or a ``list`` of them.
        optional: Whether ``None`` is allowed.
    """

    contract: ComponentMeta
    container: Literal["one", "list"]
    optional: bool


@dataclass(frozen=True)
class Parameter:
    """An argument of a component's constructor."""

    name: str
    annotation: Any
    default: Any
    help: str
    slot: Slot | None
    runtime: bool
    inherited: bool = False
    tunable: Tunable | None = None
    secret: bool = False
    pattern: bool = False
    later: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation, config=_VALIDATION)

    def errors(self, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
        """Everything wrong with ``value``: (path inside it, message) pairs."""
        try:
            self.adapter.validate_python(value)
        except ValidationError as error:
            return describe_error(error, self, value)
        return []


def describe_error(error: ValidationError, parameter: Parameter, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Translate pydantic's errors, as (path inside the value, message) pairs; alternatives of a union share one."""
    messages: dict[tuple[str | int, ...], list[str]] = {}
    for detail in error.errors(include_url=False):
        # Inside unions pydantic adds the branch's name to the path; keep only steps that exist in the value.
        path: list[str | int] = []
        inner: Any = value
        for step in detail["loc"]:
            try:
                inner = inner[step]
            except (TypeError, KeyError, IndexError):
                continue
            path.append(step)
        message = detail["msg"]
        if detail["type"] == "is_instance_of" and parameter.slot is not None:
            contract = parameter.slot.contract
            same_kind = isinstance(type(inner), ComponentMeta) and inner.kind == contract.kind
            expected = contract.__name__ if same_kind else f"component of kind '{contract.kind}'"
            message = f"expected a {expected}"
        else:
            message = re.sub(r"^\w+ should ", "must ", message).replace(" after validation", "")
        shown = repr(inner)
        text = f"{message}, got {shown if len(shown) <= 80 else shown[:77] + '...'}"
        texts = messages.setdefault(tuple(path), [])
        if text not in texts:
            texts.append(text)
    merged = []
    for inner_path, texts in messages.items():
        ending = texts[0].rpartition(", got ")[2]
        merged.append((inner_path, " or ".join(t.rpartition(", got ")[0] for t in texts) + f", got {ending}"))
    return merged


# -- reading signatures -------------------------------------------------------------------------------------------


def read_parameters(cls: Any, reserved: frozenset[str]) -> Mapping[str, Parameter]:
    """Read the parameters of a component class by name.

    Args:
        cls: The class.
        reserved: Attribute names of all components, which no parameter may have.

    Raises:
        TypeError: The constructor has an untyped argument, ``*args``, ``**kwargs`` or a reserved name.
    """
    if cls.__init__ is object.__init__:
        return {}
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    helps = read_docstring(cls)[2]
    parameters = {}
    for name, argument in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL):
            raise TypeError(f"{cls.__name__}.__init__ takes *args or **kwargs: a component names its arguments")
        if name in reserved:
            raise TypeError(
                f"{cls.__name__}.__init__: '{name}' is an attribute of every component: choose another name"
            )
        if name not in hints:
            raise TypeError(f"{cls.__name__}.__init__: argument '{name}' has no type")
        default = REQUIRED if argument.default is argument.empty else argument.default
        hint = hints[name]
        marks = (_mark(hint, mark) is not None for mark in (Runtime, Inherited, Secret, Pattern, Later))
        runtime, inherited, secret, pattern, later = marks
        tunable = _mark(hint, Tunable)
        assert tunable is None or isinstance(tunable, Tunable)
        slot = _slot(hint)
        parameters[name] = Parameter(
            name, hint, default, helps.get(name, ""), slot, runtime, inherited, tunable, secret, pattern, later
        )
    return types.MappingProxyType(parameters)


@functools.cache
def read_docstring(cls: Any) -> tuple[str, str, dict[str, str]]:
    """Summary, description without arguments, and help by argument. Help is inherited with the constructor."""
    from docstring_parser import parse

    helps: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for parameter in parse(base.__dict__.get("__doc__") or "").params:
            helps[parameter.arg_name] = " ".join((parameter.description or "").split())
    own = parse(cls.__doc__ or "")
    between = "\n\n" if own.blank_after_short_description else "\n"
    description = f"{own.short_description or ''}{between}{own.long_description or ''}".strip()
    first = " ".join(description.partition("\n\n")[0].split())
    return re.split(r"(?<!et al\.)(?<=\.) (?=[A-Z])", first)[0], description, helps


def signature_of(cls: type[Any]) -> inspect.Signature:
    """Signature of a class's constructor, ``self`` included."""
    if cls.__init__ is object.__init__:  # its own signature accepts anything
        return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)])
    return inspect.signature(cls.__init__)


def _mark(annotation: Any, mark: type[T]) -> T | type[T] | None:
    """The mark of a type on an annotation, or on a member of a union such as ``Annotated[float, Runtime()] | None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(
            (found_mark for option in get_args(annotation) if (found_mark := _mark(option, mark)) is not None), None
        )
    for annotation_mark in getattr(annotation, "__metadata__", ()):
        if isinstance(annotation_mark, mark) or annotation_mark is mark:
            return annotation_mark
    return _mark(get_args(annotation)[0], mark) if get_origin(annotation) is typing.Annotated else None


def _slot(annotation: Any, *, container: Literal["one", "list"] = "one", optional: bool = False) -> Slot | None:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _slot(get_args(annotation)[0], container=container, optional=optional)
    if origin in (Union, types.UnionType):
        optional = optional or type(None) in get_args(annotation)
        slots = (_slot(option, container=container, optional=optional) for option in get_args(annotation))
        return next((slot for slot in slots if slot), None)
    if origin in (list, tuple, collections.abc.Sequence):
        return _slot(get_args(annotation)[0], container="list", optional=optional)
    if isinstance(annotation, ComponentMeta):
        return Slot(annotation, container, optional)
    return None
