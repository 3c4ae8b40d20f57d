"""The contract of a component, and the view that introspection takes of it.

The schema, the defaults, the bounds, the help text, the error messages and the fingerprint of a component all come
from the signature of its ``__init__`` (``Annotated[int, Field(ge=1)]``) and from the ``Args:`` of its docstring.
Parameters are described nowhere else::

    class Flat(Index):
        \"\"\"Exact search.\"\"\"  # and below it, Google style, what each argument means

        type = "flat"

        def __init__(self, *, block: Annotated[int, Field(ge=1)] = 4096) -> None:
            self.block = block

Life of a component: ``__init__`` only stores arguments (no files, no models); ``fit(context)`` builds what it needs;
then it answers batches. What it fitted can be written by ``save_state`` and read by ``load_state``.
"""

from __future__ import annotations

import functools
import secrets
import types
from abc import ABC
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, overload

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from rag.component.class_spec import ClassSpec, checked_arguments
from rag.component.parameters import ComponentMeta, signature_of
from rag.component.showing import arguments_shown, tree_of
from rag.component.values import Unexpanded, is_plain, leaves, mapped
from rag.errors import ConfigError
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from rag.candidates import Ints
    from rag.fitting import FitContext, UpdateContext
    from rag.store.key_value_cache import KeyValueCache
    from rag.store.store import Store

__all__ = ["Component", "Need", "Spec"]

Need = Literal["corpus", "training", "training_if_given", "candidates", "keys"]
"""Needs of a component for fitting: the documents; queries with judgments to learn from (perhaps only if available);
the results of the previous pipeline steps for these queries (:meth:`rag.FitContext.training_run`); the keys beside
it."""

C = TypeVar("C", bound="Component")

_PROCESS = secrets.token_hex(8)
"""Token that makes identities of live objects unique to this process."""


class Spec(ClassSpec, Generic[C]):
    """Introspection of a component, ``component.spec``: its arguments, the tree below it, its identity."""

    def __init__(self, component: C) -> None:
        super().__init__(type(component))
        self._component = component

    # -- the tree -----------------------------------------------------------------------------------------------------

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All constructor arguments with their values, defaults included."""
        return types.MappingProxyType(self._component._arguments)

    def children(self) -> Iterator[tuple[str, Component]]:
        """Components held directly, with their path: ``index``, ``retrievers.0``."""
        for name, value in self._component._arguments.items():
            if self.parameters[name].pattern:
                continue
            if isinstance(value, Component):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for index, item in enumerate(value):
                    if isinstance(item, Component):
                        yield f"{name}.{index}", item

    def walk(self, path: str = "") -> Iterator[tuple[str, Component]]:
        """The component and all below it, with their paths; the root's is the empty string."""
        yield path, self._component
        for name, child in self.children():
            yield from child.spec.walk(f"{path}.{name}" if path else name)

    def to_config(self) -> dict[str, Any]:
        """The tree as a YAML mapping, with all defaults written out.

        Raises:
            ConfigError: An argument is a Python object that YAML cannot name.
        """

        def configured(path: str, leaf: Any) -> Any:
            if isinstance(leaf, Component):
                return leaf.spec.to_config()
            if is_plain(leaf):
                return leaf
            raise ConfigError(f"{path} is a Python object ({type(leaf).__name__}): a YAML file cannot name it")

        config: dict[str, Any] = {"type": self._cls.type}
        for name, value in self.arguments.items():
            written = mapped(value, partial(configured, f"{self.label}.{name}"), as_json=True)
            is_secret = isinstance(written, str) and self.parameters[name].secret
            config[name] = Unexpanded(written) if is_secret else written
        return config

    # -- identity -----------------------------------------------------------------------------------------------------

    @property
    def cache_key(self) -> str:
        """The fingerprint including models and libraries: the key of cached artifacts on disk."""
        return self._component._cache_key

    @property
    def is_serializable(self) -> bool:
        """Whether its identity is valid in other processes; False with live Python objects inside."""
        return self._component._is_serializable

    @property
    def saves_state(self) -> bool:
        """Whether it has state to save once fitted."""
        return type(self._component).save_state is not Component.save_state

    @property
    def learns(self) -> bool:
        """Whether its results may depend on judged queries, of its own or of a component below it."""
        return any(not part.needs.isdisjoint({"training", "training_if_given"}) for _, part in self.walk())

    @property
    def caches_state(self) -> bool:
        """Whether the store caches its state; False for state that is learned again in no time."""
        return self._component._caches_state

    def values_in(self, store: Store | None, name: str) -> KeyValueCache | None:
        """The store's cache for values that the component computes from single texts.

        None without a store, for components with live Python objects inside, and for those fitted on a corpus or on
        judgments, whose values are useless elsewhere.
        """
        if store is None or not self.is_serializable or any(part.needs for _, part in self.walk()):
            return None
        return store.cache(name, self.cache_key, description=repr(self._component))

    # -- copies and state ---------------------------------------------------------------------------------------------

    def clone(self) -> C:
        """A copy that is not fitted."""
        return type(self._component)(**{name: mapped(value, _fresh) for name, value in self.arguments.items()})

    def copy_state_from(self, twin: Component) -> None:
        """Share the fitted state of an identical component, for the whole tree."""
        mine = self._component
        state = {k: v for k, v in twin.__dict__.items() if k not in mine._arguments and k != "_arguments"}
        mine.__dict__.update(state)
        for (_, child), (_, other) in zip(self.children(), twin.spec.children(), strict=True):
            child.spec.copy_state_from(other)

    def restore(self, folder: Path, context: FitContext, path: str = "") -> None:
        """Load the states of the whole tree, each from the folder named by its path."""
        if path:
            self._component.load_state(folder / path, context)
        inner = self._component._child_context(context)
        for name, child in self.children():
            child.spec.restore(folder, inner, f"{path}.{name}" if path else name)


class _SpecOf:
    """Descriptor for ``Component.spec``, of the class or of an instance."""

    @overload
    def __get__(self, instance: None, owner: type[Component]) -> ClassSpec: ...
    @overload
    def __get__(self, instance: C, owner: type[Component]) -> Spec[C]: ...
    def __get__(self, instance: Component | None, owner: type[Component]) -> ClassSpec:
        return ClassSpec(owner) if instance is None else Spec(instance)


class Component(ABC, metaclass=ComponentMeta):
    """Base of all components. See the module docstring for how to write one.

    The attributes below that begin with an underscore are hooks for rare cases; the store relies on their overrides.
    """

    kind: ClassVar[str] = ""
    """The role, set by a contract such as ``Embedder``: the first half of the registered name."""

    type: ClassVar[str] = ""
    """The second half of the registered name, and ``type:`` in YAML."""

    version: ClassVar[int] = 1
    """Version to raise when the same arguments give other results; part of the fingerprint."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    _keeps_lists: bool = True
    """Whether a store may keep the candidates that it has a part in."""

    spec: ClassVar[_SpecOf] = _SpecOf()
    """Parameters, arguments, tree and identities, for introspection."""

    _state_version: ClassVar[int] = 1
    """Version to raise when :meth:`save_state` writes other files for the same results."""

    _libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version changes the result of :meth:`fit`; part of the key of cached artifacts."""

    _arguments: dict[str, Any]

    @classmethod
    def _create(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        values = cls._completed(checked_arguments(cls.spec, signature_of(cls), args, kwargs, _fresh))
        self: Self = type.__call__(cls, **values)
        self._arguments = values
        return self

    @classmethod
    def _refine_schema(cls, schema: dict[str, Any]) -> None:
        """Change the JSON Schema of its mapping if files may use a shorter form than the arguments."""

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The validated arguments, with defaults derived from other arguments."""
        return values

    def __getstate__(self) -> dict[str, Any]:
        """State for ``pickle``, ``copy.deepcopy`` and other processes: without lazily computed or loaded values, such
        as models. Extend it in components with members that cannot be pickled.
        """
        lazy = (functools.cached_property, property)
        return {k: v for k, v in self.__dict__.items() if not isinstance(getattr(type(self), k, None), lazy)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({arguments_shown(self)})"

    def _repr_html_(self) -> str:
        """The tree with all arguments, for notebooks."""
        from rag.display.html import as_html

        return as_html([], [tree_of(self)])

    # -- life ---------------------------------------------------------------------------------------------------------

    def prepare(self, context: FitContext) -> None:
        """Request expensive work that others may share, before anything is fitted. Called once for every component of
        the tree.
        """
        for _, child in self.spec.children():
            child.prepare(context)

    def fit(self, context: FitContext) -> None:
        """Build what is needed to answer. Called once, before any batch; fits child components by
        ``context.fit(child)``.
        """
        for _, child in self.spec.children():
            context.fit(child)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """Adapt the fitted state to other passages: some of the old ones, then new ones, with the same arguments.

        This default does the minimum. A component without state is fitted again, which binds it to the new passages.
        One that learned from judged queries keeps what it learned. All others are fitted again. Override it in
        components that can do with less work; they update child components by ``context.fit(child)``.

        An override must replace arrays and objects rather than change them, since others may share them.

        Args:
            context: The context with the new passages; ``context.embed_passages(embedder, start=len(kept))`` embeds
                only the added ones.
            kept: Positions in the old table of the passages that stay, int64, ascending. In the new table they come
                first, in this order. Documents may have been deleted even if all passages are kept.

        Raises:
            ConfigError: It learned from the documents and from judged queries, so it can only be fitted from scratch.
        """
        if self.spec.saves_state and "corpus" in self.needs and len(self.needs) > 1:
            raise ConfigError(f"{self.spec.label} learned from documents and judged queries together: index again")
        if self.spec.saves_state and "corpus" not in self.needs:
            for _, child in self.spec.children():
                context.fit(child)
            context.keep(self)
        else:
            self.fit(context)

    def save_state(self, folder: Path) -> None:
        """Write what :meth:`fit` built, without the arguments, as files under ``folder`` (which exists). Child
        components are saved separately.
        """

    def load_state(self, folder: Path, context: FitContext) -> None:
        """Read what :meth:`save_state` wrote. ``context`` has the corpus and the passages of fitting."""

    def notes(self) -> tuple[str, ...]:
        """Remarks about the fitted component for readers of an evaluation, such as a choice it made."""
        return ()

    # -- identity -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identity of the component's results: type, version and arguments of the whole tree below it."""
        return fingerprint(self._identity())

    def _identity(self) -> dict[str, Any]:
        """Content of the fingerprint. Extend it if results depend on more than the arguments."""
        arguments = {
            name: mapped(self._arguments[name], _identified, as_json=True)
            for name, parameter in self.spec.parameters.items()
            if not parameter.runtime and not (parameter.later and self._arguments[name] == parameter.default)
        }
        return {"kind": self.kind, "type": self.type or type(self).__qualname__, "version": self.version} | arguments

    def _model_digest(self) -> Any:
        """JSON-able identity of content that the arguments only refer to, such as a model's weights. May read files but
        loads nothing. A saved pipeline is refused when it has changed.
        """
        return None

    def _environment(self) -> Any:
        """JSON-able description of how this machine computes, such as the precision chosen by ``auto``. Part of the key
        of cached artifacts; artifacts saved elsewhere may still be used.
        """
        return None

    @functools.cached_property
    def _cache_key(self) -> str:
        return fingerprint([self.fingerprint, [[path, *part._made_by()] for path, part in self.spec.walk()]])

    def _made_by(self) -> list[Any]:
        content, environment = self._model_digest(), self._environment()
        libraries = [[name, installed_version(name)] for name in self._libraries]
        made_by = [content if environment is None else [content, environment], libraries]
        return made_by if self._state_version == 1 else [*made_by, self._state_version]

    @property
    def _is_serializable(self) -> bool:
        return all(
            leaf._is_serializable if isinstance(leaf, Component) else is_plain(leaf)
            for value in self._arguments.values()
            for leaf in leaves(value)
        )

    @property
    def _caches_state(self) -> bool:
        return self.spec.saves_state

    def _preflight(self) -> None:
        """Check the arguments against the files they name, such as the longest text against a model's limit. Loads
        nothing and skips files missing on this machine. Called before anything runs.

        Raises:
            ConfigError: Arguments and files do not match; the mistake names the parameter.
        """

    @classmethod
    def _computed_by(cls) -> str:
        """What computes its models on this machine, for ``rag components``; nothing where there is no choice."""
        return ""

    def _stale(self) -> str | None:
        """The reason why its learned state may no longer suit the documents, or None. Only a new fit helps."""
        return None

    def _child_context(self, context: FitContext) -> FitContext:
        """The context in which child components were fitted, available once its own state is loaded: the same, unless
        they search something else, such as keys.
        """
        return context

    # -- pydantic -----------------------------------------------------------------------------------------------------

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"x-kind": f"{cls.kind}.{cls.type}" if cls.type else cls.kind}  # rag.config.schema makes it a reference


def _fresh(leaf: Any) -> Any:
    """A leaf that shares no fitted state with the original."""
    return leaf.spec.clone() if isinstance(leaf, Component) else leaf


def _identified(leaf: Any) -> Any:
    if isinstance(leaf, Component):
        return leaf.fingerprint
    if isinstance(leaf, float) and leaf.is_integer():
        return int(leaf)  # `k: 60` and `k: 60.0` are the same value
    if is_plain(leaf):
        return leaf
    # A live Python object has no identity beyond this process: it never matches cached artifacts.
    return f"{type(leaf).__module__}.{type(leaf).__qualname__}@{_PROCESS}.{id(leaf)}"
