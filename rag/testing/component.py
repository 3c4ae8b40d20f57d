"""What holds for every component."""

from __future__ import annotations

import copy
import functools
import pickle
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from rag.component import Component
from rag.config import build, dump, read_source
from rag.config.schema import component_schema, json_schema
from rag.config.source import node_from_python
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.errors import Mistakes
from rag.fitting import FitContext
from rag.learning.training import Training
from rag.registry import component_class, types_of
from rag.testing.child import in_another_process
from rag.testing.data import DOCUMENTS, QUERIES, pieces
from rag.types import Query

__all__ = ["ComponentConformance"]

C = TypeVar("C", bound=Component)


@functools.cache
def _definitions() -> dict[str, Any]:
    return dict(json_schema()["definitions"])


def _mutable(component: Component, *, below: bool) -> dict[int, str]:
    """Identity and name of whatever in a component can be changed: containers, arrays and, below it, components."""
    names: dict[int, str] = {}

    def look(value: Any, name: str) -> None:
        if isinstance(value, Component) and not below:
            return
        if isinstance(value, (Component, list, dict, set, bytearray, np.ndarray)):
            names[id(value)] = name
        items = vars(value) if isinstance(value, Component) else value
        if isinstance(items, (Mapping, list, tuple)):
            for key, item in items.items() if isinstance(items, Mapping) else enumerate(items):
                look(item, f"{name}.{key}" if name else str(key))

    for key, value in vars(component).items():
        look(value, key)
    return names


def _check_apart(first: Component, second: Component, *, below: bool = True) -> None:
    """Assert that no change to one component changes the other; ``below``: nor those that they were given."""
    theirs = _mutable(second, below=below)
    shared = [name for key, name in _mutable(first, below=below).items() if key in theirs]
    assert first is not second, "one component, not two"
    assert not shared, f"two components share {', '.join(shared)}"


class ComponentConformance:
    """What holds for every component. Subclass it and write :meth:`make`."""

    python_only: ClassVar[bool] = False
    """Set for a component that takes a Python object, which no file can hold."""

    @abstractmethod
    def make(self) -> Component:
        """A new component; called often, and always to the same effect."""
        raise NotImplementedError

    def test_it_is_registered_under_its_kind_and_type(self) -> None:
        cls = type(self.make())
        assert cls.kind, f"{cls.__name__} has no kind: derive it from a contract such as Retriever"
        assert cls.type, f"{cls.__name__} has no type"
        assert cls.type in types_of(cls.kind), (
            f'not registered: add "{cls.kind}.{cls.type}" = "{cls.__module__}:{cls.__qualname__}" under '
            '[project.entry-points."rag.components"] in pyproject.toml, and run pip install -e . again'
        )
        assert component_class(cls.kind, cls.type) is cls

    def test_its_docstring_says_what_it_does(self) -> None:
        cls = type(self.make())
        assert cls.__doc__, f"{cls.__name__} has no docstring"
        assert cls.spec.summary.strip()
        assert cls.spec.summary in " ".join(cls.spec.doc.split())

    def test_its_docstring_explains_every_parameter(self) -> None:
        cls = type(self.make())
        without = [name for name, parameter in cls.spec.parameters.items() if not parameter.help.strip()]
        assert not without, f"{cls.__name__}: its docstring's Args lack {', '.join(without)}"

    def test_arguments_are_kept_as_attributes(self) -> None:
        component = self.make()
        for name, value in component.spec.arguments.items():
            stored = getattr(component, name)
            assert (list(stored) == list(value)) if isinstance(value, (list, tuple)) else (stored is value), name

    def test_two_made_alike_are_equal_and_share_nothing(self) -> None:
        first, other = self.make(), self.make()
        assert first.fingerprint == other.fingerprint
        assert repr(first) == repr(other)
        _check_apart(first, other, below=False)  # a test may give both the same component

    def test_a_clone_is_equal_and_shares_nothing(self) -> None:
        component = self.make()
        clone = component.spec.clone()
        assert type(clone) is type(component)
        assert clone.fingerprint == component.fingerprint
        assert repr(clone) == repr(component)
        _check_apart(component, clone)

    def test_pickled_and_copied_it_is_equal(self) -> None:
        component = self.make()
        for twin in self.copies(component):
            assert type(twin) is type(component)
            assert twin.spec.arguments.keys() == component.spec.arguments.keys()
            if component.spec.is_serializable:  # a live Python object is no other's equal
                assert twin.fingerprint == component.fingerprint
            _check_apart(component, twin)

    def copies(self, component: C) -> list[C]:
        """What ``copy.deepcopy`` makes of a component, and ``pickle``; not that where it holds a Python object."""
        pickled = [] if self.python_only else [pickle.loads(pickle.dumps(component))]  # noqa: S301 - made here
        return [copy.deepcopy(component), *pickled]

    def test_its_configuration_builds_it_again(self, tmp_path: Path) -> None:
        if self.python_only:
            return
        component = self.make()
        file = tmp_path / "component.yaml"
        file.write_text(dump(component.spec.to_config()), encoding="utf-8")
        mistakes = Mistakes()
        from_file = read_source(file, mistakes=mistakes)
        for node in (node_from_python(component.spec.to_config()), from_file):
            assert node is not None, mistakes
            again = build(node, type(component), mistakes=mistakes)
            assert again is not None, mistakes
            assert again.spec.to_config() == component.spec.to_config()
            assert again.fingerprint == component.fingerprint
            assert repr(again) == repr(component)

    def test_made_in_another_process_it_reads_nothing_and_has_the_same_fingerprint(self) -> None:
        if self.python_only:
            return
        component = self.make()
        seen = in_another_process(component.kind, component.spec.to_config())
        assert seen == {"fingerprint": component.fingerprint, "heavy": [], "opened": []}

    def test_its_schema_is_valid_and_accepts_it(self) -> None:
        from jsonschema import Draft7Validator  # type: ignore[import-untyped]

        component = self.make()
        schema = component_schema(type(component))
        assert (schema is None) == self.python_only
        if schema is not None:
            Draft7Validator.check_schema(schema)
            validator = Draft7Validator({**schema, "definitions": _definitions()})
            assert [error.message for error in validator.iter_errors(component.spec.to_config())] == []
            assert [
                error.validator for error in validator.iter_errors({**component.spec.to_config(), "nO such": 1})
            ] == ["additionalProperties"]

    # -- what the contracts below share -----------------------------------------------------------------------------

    def corpus(self) -> Corpus:
        """Documents to fit on."""
        return Corpus.from_documents(DOCUMENTS)

    def queries(self) -> Sequence[Query]:
        """Questions to ask."""
        return QUERIES

    def training(self) -> Training | None:
        """Judged queries, for a component that learns; none by default."""
        return None

    def passages(self, *, chunked: bool = False) -> Passages:
        """The corpus whole, or in pieces of five words."""
        return pieces(self.corpus()) if chunked else Passages.whole(self.corpus())

    def fitted(self, passages: Passages) -> Any:
        """A component fitted on passages, as a pipeline does it."""
        component = self.make()
        context = FitContext(passages.corpus, passages, self.training())
        component.prepare(context)
        context.fit(component)
        return component

    def saved_and_loaded(self, component: Component, passages: Passages, folder: Path) -> Any:
        """A new component with the state of a fitted one, through files, as a pipeline does it."""
        again = self.make()
        for path, part in component.spec.walk("root"):
            (folder / path).mkdir(parents=True)
            part.save_state(folder / path)
        again.spec.restore(folder, FitContext(passages.corpus, passages), "root")
        return again
