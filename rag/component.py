"""Components: classes with a typed keyword constructor, from which everything else is derived.

The schema, the defaults, the bounds, the help text, the error messages and the fingerprint of a component all come
from the signature of its ``__init__`` (``Annotated[int, Field(ge=1)]``) and from the ``Args:`` of its docstring.
There is no second place to describe a parameter::

    class Flat(Index):
        \"\"\"Exact search.\"\"\"  # and below it, Google style, what each argument means

        type = "flat"

        def __init__(self, *, block: Annotated[int, Field(ge=1)] = 4096) -> None:
            self.block = block

Life of a component: ``__init__`` only stores arguments (no files, no models); ``fit(context)`` builds what it needs;
then it answers batches. What it fitted can be written by ``save_state`` and read by ``load_state``.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import re
import secrets
import types
import typing
from abc import ABC, ABCMeta
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import core_schema

from rag.errors import ConfigError, Mistake, did_you_mean
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from rag.candidates import Ints
    from rag.context import FitContext
    from rag.store.store import Store
    from rag.store.values import Values

__all__ = ["REQUIRED", "Component", "Need", "Parameter", "Runtime", "Slot", "describe_error"]

Need = Literal["corpus", "training", "candidates"]
"""What fitting a component takes: the documents; queries with judgements to learn from; what the steps of the pipeline
before it find for these queries (:meth:`rag.context.FitContext.training_run`)."""

T = TypeVar("T")


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()
"""Default of a parameter that has none."""

_PROCESS = secrets.token_hex(8)
"""Makes identities of live objects those of this process."""

_VALIDATION = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class Runtime:
    """Marks a parameter that changes speed but no result, ``Annotated[int, Runtime()]``; not in the fingerprint."""


@dataclass(frozen=True)
class Slot:
    """A parameter that holds components.

    Args:
        contract: The class that the components must be of, such as ``Embedder``.
        container: ``one``, or a ``list`` of them.
        optional: Whether ``None`` is allowed.
    """

    contract: type[Component]
    container: Literal["one", "list"]
    optional: bool


@dataclass(frozen=True)
class Parameter:
    """One argument of a component's constructor."""

    name: str
    annotation: Any
    default: Any
    help: str
    slot: Slot | None
    runtime: bool

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation, config=_VALIDATION)

    def errors(self, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with ``value``: (where inside it, message) pairs."""
        try:
            self.adapter.validate_python(value)
        except ValidationError as error:
            return describe_error(error, self, value)
        return []


def describe_error(error: ValidationError, parameter: Parameter, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Pydantic's findings in this project's words. Of a union, only the branch that came closest speaks."""
    found: dict[tuple[str | int, ...], list[str]] = {}
    for one in error.errors(include_url=False):
        # Inside unions pydantic adds the branch's name to the place; keep what is a place in the value.
        place: list[str | int] = []
        inner: Any = value
        for step in one["loc"]:
            try:
                inner = inner[step]
            except (TypeError, KeyError, IndexError):
                continue
            place.append(step)
        message = one["msg"]
        if one["type"] == "is_instance_of" and parameter.slot is not None:
            contract = parameter.slot.contract
            same_kind = isinstance(inner, Component) and inner.kind == contract.kind
            wanted = contract.__name__ if same_kind else f"component of kind '{contract.kind}'"
            message = f"expected a {wanted}"
        else:
            message = re.sub(r"^\w+ should ", "must ", message).replace(" after validation", "")
        shown = repr(inner)
        texts = found.setdefault(tuple(place), [])
        text = f"{message}, got {shown if len(shown) <= 80 else shown[:77] + '...'}"
        if text not in texts:
            texts.append(text)
    merged = []
    for path, texts in found.items():
        ending = texts[0].rpartition(", got ")[2]
        merged.append((path, " or ".join(t.rpartition(", got ")[0] for t in texts) + f", got {ending}"))
    return merged


class ComponentMeta(ABCMeta):
    """Checks arguments before ``__init__`` sees them and remembers them after."""

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        return typing.cast("T", cls._create(args, kwargs))  # type: ignore[attr-defined]


class Component(ABC, metaclass=ComponentMeta):
    """Base of all components. See the module's text for how to write one."""

    kind: ClassVar[str] = ""
    """What it is for, set by a contract such as ``Embedder``: the first half of its registered name."""

    type: ClassVar[str] = ""
    """Which one it is: the second half of its registered name, and ``type:`` in YAML."""

    version: ClassVar[int] = 1
    """Raised when the same arguments begin to give other results; part of the fingerprint."""

    state_version: ClassVar[int] = 1
    """Raised when :meth:`save_state` begins to write something else for the same results."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version changes what :meth:`fit` builds; they go into the key of what is kept."""

    _arguments: dict[str, Any]

    # -- the constructor's signature, read ------------------------------------------------------------------------

    @classmethod
    def parameters(cls) -> Mapping[str, Parameter]:
        """The constructor's parameters by name."""
        return _parameters(cls)

    @classmethod
    def doc_summary(cls) -> str:
        """First sentence of the docstring."""
        return _docstring(cls)[0]

    @classmethod
    def doc(cls) -> str:
        """The docstring without its ``Args:``."""
        return _docstring(cls)[1]

    @classmethod
    def _create(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        label = cls.label()
        try:
            given = _signature(cls).bind_partial(None, *args, **kwargs).arguments
        except TypeError as error:
            unknown = [name for name in kwargs if name not in cls.parameters()]
            if unknown:
                message = f"unknown argument '{unknown[0]}' of {label}{did_you_mean(unknown[0], cls.parameters())}"
                raise ConfigError(message, parameter=unknown[0]) from None
            raise ConfigError(f"{label}: {error}") from None
        values: dict[str, Any] = {}
        mistakes: list[Mistake] = []
        for parameter in cls.parameters().values():
            if parameter.name in given:
                value = _plain(given[parameter.name])
                for inner, message in parameter.errors(value):
                    path = ".".join(map(str, (parameter.name, *inner)))
                    mistakes.append(Mistake(f"{label}: {path} {message}", path=""))
            elif parameter.required:
                mistakes.append(Mistake(f"{label}: missing argument '{parameter.name}'"))
                continue
            else:
                value = _fresh(parameter.default)
            values[parameter.name] = value
        if mistakes:
            raise ConfigError(mistakes)
        self: Self = type.__call__(cls, **values)
        self._arguments = values
        return self

    # -- the tree ---------------------------------------------------------------------------------------------------

    @classmethod
    def label(cls) -> str:
        """How messages name it: its registered type, or the class's name."""
        return f"'{cls.type}'" if cls.type else cls.__name__

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Every constructor argument with its value, defaults included."""
        return types.MappingProxyType(self._arguments)

    def children(self) -> Iterator[tuple[str, Component]]:
        """Components held directly, with their place: ``index``, ``retrievers.0``."""
        for name, value in self._arguments.items():
            if isinstance(value, Component):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for number, item in enumerate(value):
                    if isinstance(item, Component):
                        yield f"{name}.{number}", item

    def walk(self, path: str = "") -> Iterator[tuple[str, Component]]:
        """This component and all below it, with their places; the root's is the empty string."""
        yield path, self
        for name, child in self.children():
            yield from child.walk(f"{path}.{name}" if path else name)

    def to_config(self) -> dict[str, Any]:
        """The tree as YAML would have it, every default written out.

        Raises:
            ConfigError: An argument is a Python object that YAML cannot name.
        """
        config: dict[str, Any] = {"type": self.type}
        for name, value in self._arguments.items():
            config[name] = _configured(value, f"{self.label()}.{name}")
        return config

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identity of what this component computes: type, version and arguments of the whole tree below it."""
        return fingerprint(self.identity())

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of. Extended by components whose results hang on more than their arguments."""
        arguments = {
            name: _identified(self._arguments[name])
            for name, parameter in self.parameters().items()
            if not parameter.runtime
        }
        return {"kind": self.kind, "type": self.type or type(self).__qualname__, "version": self.version} | arguments

    def content(self) -> Any:
        """Identity of what the arguments only point at, such as the weights of a model; JSON-able. May look at files,
        loads nothing. A saved pipeline is refused when it has changed.
        """
        return None

    def environment(self) -> Any:
        """How this machine computes it, such as the precision that ``auto`` means here; JSON-able. Part of the key of
        what is kept, but what was saved elsewhere may still be used.
        """
        return None

    @functools.cached_property
    def content_fingerprint(self) -> str:
        """The :attr:`fingerprint` with the content and the libraries behind it: the key of what is kept on disk."""
        return fingerprint([self.fingerprint, [[path, *part._made_by()] for path, part in self.walk()]])

    def _made_by(self) -> list[Any]:
        content, environment = self.content(), self.environment()
        libraries = [[name, installed_version(name)] for name in self.libraries]
        made_by = [content if environment is None else [content, environment], libraries]
        return made_by if self.state_version == 1 else [*made_by, self.state_version]

    @property
    def is_lasting(self) -> bool:
        """Whether its identity means anything to another process; not with live Python objects inside."""
        return all(_is_plain(value) for value in self._arguments.values())

    @property
    def saves_state(self) -> bool:
        """Whether there is anything to save once it is fitted."""
        return type(self).save_state is not Component.save_state

    @property
    def keeps_state(self) -> bool:
        """Whether the store keeps what it saves. Not for what is learnt again in no time."""
        return self.saves_state

    def values_in(self, store: Store | None, what: str) -> Values | None:
        """Where a store keeps what this component computes from single texts.

        Nowhere without a store, for one with live Python objects inside, and for one that was fitted on a corpus or
        on judgements: what it computes is worth nothing for another.
        """
        if store is None or not self.is_lasting or any(part.needs for _, part in self.walk()):
            return None
        return store.values(what, self.content_fingerprint, about=repr(self))

    def notes(self) -> tuple[str, ...]:
        """What a reader of an evaluation should know about it once it is fitted, such as a choice it made."""
        return ()

    def learned_report(self) -> Mapping[str, Any]:
        """What a report should show of what it has learned, as JSON values; empty for nothing."""
        return {}

    def clone(self) -> Self:
        """The same component, not fitted."""
        return type(self)(**{name: _fresh(value) for name, value in self._arguments.items()})

    def adopt(self, twin: Component) -> None:
        """Share what an identical component has fitted, all the way down."""
        state = {k: v for k, v in twin.__dict__.items() if k not in self._arguments and k != "_arguments"}
        self.__dict__.update(state)
        for (_, mine), (_, theirs) in zip(self.children(), twin.children(), strict=True):
            mine.adopt(theirs)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={self._arguments[name]!r}"
            for name, parameter in self.parameters().items()
            if parameter.required or _identified(self._arguments[name]) != _identified(parameter.default)
        )
        return f"{type(self).__name__}({shown})"

    # -- life -----------------------------------------------------------------------------------------------------

    def prepare(self, context: FitContext) -> None:
        """Ask for expensive work that others may share, before anything is fitted. Called once for every component of
        the tree.
        """
        for _, child in self.children():
            child.prepare(context)

    def fit(self, context: FitContext) -> None:
        """Build what is needed to answer. Called once, before any batch; fits the components it holds by
        ``context.fit(child)``.
        """
        for _, child in self.children():
            context.fit(child)

    def update(self, context: FitContext, kept: Ints) -> None:
        """Make what was fitted fit other passages: some of the old ones, then new ones, over the same arguments.

        This default does no more than it must. A component without state is fitted again, which binds it to the new
        passages. One that learned from judged queries keeps what it learned. Any other is fitted again. Overridden by
        components that can do with less work; they bring those they hold up to date by ``context.fit(child)``.

        An override leaves alone arrays and objects that others may have: it replaces them.

        Args:
            context: Gives the new passages; ``context.embed_passages(embedder, start=len(kept))`` those that came.
            kept: The passages that stay, as positions in the old table, int64, ascending. In the new table they
                come first, in this order. Which documents are deleted may have changed with all passages kept.

        Raises:
            ConfigError: It learned from the documents and from judged queries, so it can only be fitted again.
        """
        if self.saves_state and "corpus" in self.needs and len(self.needs) > 1:
            raise ConfigError(
                f"{self.label()} learned from the documents and from judged queries together: index again instead"
            )
        if self.saves_state and "corpus" not in self.needs:
            for _, child in self.children():
                context.fit(child)
            context.keep(self)
        else:
            self.fit(context)

    def stale(self) -> str | None:
        """Why what it learned may no longer suit the documents, or None. Only fitting again helps."""
        return None

    def save_state(self, folder: Path) -> None:
        """Write what :meth:`fit` built, not the arguments, as files under ``folder`` (which exists). Not the
        children's: they are asked themselves.
        """

    def load_state(self, folder: Path, context: FitContext) -> None:
        """Read what :meth:`save_state` wrote. ``context`` gives the corpus and the passages that were fitted on."""

    def inner_context(self, context: FitContext) -> FitContext:
        """What the components it holds were fitted on, known once its own state is loaded: the same, unless it has them
        search something of its own, such as keys.
        """
        return context

    def restore(self, folder: Path, context: FitContext, path: str = "") -> None:
        """Load the states of the whole tree, each from the folder named after its place."""
        if path:
            self.load_state(folder / path, context)
        inner = self.inner_context(context)
        for name, child in self.children():
            child.restore(folder, inner, f"{path}.{name}" if path else name)


# -- reading signatures -------------------------------------------------------------------------------------------


@functools.cache
def _parameters(cls: type[Component]) -> Mapping[str, Parameter]:
    if cls.__init__ is object.__init__:
        return {}
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    helps = _docstring(cls)[2]
    found = {}
    for name, one in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
            raise TypeError(f"{cls.__name__}.__init__ takes *args or **kwargs: a component names its arguments")
        if hasattr(Component, name):
            raise TypeError(
                f"{cls.__name__}.__init__: '{name}' is an attribute of every component: choose another name"
            )
        if name not in hints:
            raise TypeError(f"{cls.__name__}.__init__: argument '{name}' has no type")
        default = REQUIRED if one.default is one.empty else one.default
        slot, runtime = _slot(hints[name]), _is_runtime(hints[name])
        found[name] = Parameter(name, hints[name], default, helps.get(name, ""), slot, runtime)
    return types.MappingProxyType(found)


@functools.cache
def _docstring(cls: type[Component]) -> tuple[str, str, dict[str, str]]:
    """Summary, description without the arguments, and help by argument. Help is inherited with the constructor."""
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


def _is_runtime(annotation: Any) -> bool:
    """Whether it is marked, as a whole or, as ``Annotated[float, Runtime()] | None`` is, in part."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_runtime(one) for one in get_args(annotation))
    marks = getattr(annotation, "__metadata__", ())
    inside = get_origin(annotation) is typing.Annotated and _is_runtime(get_args(annotation)[0])
    return inside or any(isinstance(mark, Runtime) or mark is Runtime for mark in marks)


def _slot(annotation: Any, *, container: Literal["one", "list"] = "one", optional: bool = False) -> Slot | None:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _slot(get_args(annotation)[0], container=container, optional=optional)
    if origin in (Union, types.UnionType):
        optional = optional or type(None) in get_args(annotation)
        slots = (_slot(one, container=container, optional=optional) for one in get_args(annotation))
        return next((slot for slot in slots if slot), None)
    if origin in (list, tuple, collections.abc.Sequence):
        return _slot(get_args(annotation)[0], container="list", optional=optional)
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return Slot(annotation, container, optional)
    return None


def _signature(cls: type[Component]) -> inspect.Signature:
    if cls.__init__ is object.__init__:  # whose own signature takes anything
        return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)])
    return inspect.signature(cls.__init__)


def _plain(value: Any) -> Any:
    """Numpy scalars as the Python numbers they are, since arguments are compared, hashed and written to YAML;
    containers copied, so that nobody changes them from outside.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


def _fresh(value: Any) -> Any:
    """A value that shares no fitted state or container with the original."""
    if isinstance(value, Component):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)(_fresh(item) for item in value)
    return dict(value) if isinstance(value, dict) else value


def _configured(value: Any, path: str) -> Any:
    if isinstance(value, Component):
        return value.to_config()
    if isinstance(value, (list, tuple)):
        return [_configured(item, path) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _configured(item, path) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise ConfigError(f"{path} is a Python object ({type(value).__name__}): a YAML file cannot name it")


def _is_plain(value: Any) -> bool:
    if isinstance(value, Component):
        return value.is_lasting
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (str, int, float, bool))


def _identified(value: Any) -> Any:
    if isinstance(value, Component):
        return value.fingerprint
    if isinstance(value, (list, tuple)):
        return [_identified(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _identified(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)  # `k: 60` and `k: 60.0` are one argument
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    # A live Python object has no identity beyond this process: it never matches anything kept on disk.
    return f"{type(value).__module__}.{type(value).__qualname__}@{_PROCESS}.{id(value)}"


def _core_schema(cls: type[Component], source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    return core_schema.is_instance_schema(cls)


def _json_schema(cls: type[Component], schema: Any, handler: Any) -> dict[str, Any]:
    return {"x-kind": cls.kind}  # rag.config.schema makes it a reference


Component.__get_pydantic_core_schema__ = classmethod(_core_schema)  # type: ignore[attr-defined]
Component.__get_pydantic_json_schema__ = classmethod(_json_schema)  # type: ignore[attr-defined]
