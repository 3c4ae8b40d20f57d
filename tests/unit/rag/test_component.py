"""What a class gets for its typed constructor."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from rag import LSA, Component, ConfigError, NoChunker, Pipeline, Runtime, Threshold
from rag.component import REQUIRED, Later
from rag.config import build
from rag.config.source import node_from_python
from rag.errors import Mistakes
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25, HNSW, RRF, Dense, Flat, Hybrid, MinMax
from tests.fakes import WordEmbedder


class Part(Component):
    """A part. It has a long story.

    Told here.

    Args:
        depth: How deep,
            and over two lines.
        speed: How fast.
    """

    kind = "part"
    type = "part"

    def __init__(
        self, *, depth: Annotated[int, Field(ge=1, le=9)] = 3, speed: Annotated[int, Field(ge=1), Runtime()] = 1
    ) -> None:
        self.depth = depth
        self.speed = speed


class Machine(Component):
    """A machine: made of parts.

    Args:
        name: What it is called.
        part: The main one.
        parts: More of them.
        spare: Perhaps one.
        mode: How it runs.
        ratio: Any number.
        options: Anything.
    """

    kind = "machine"
    type = "machine"

    def __init__(
        self,
        name: str,
        *,
        part: Part = Part(),  # noqa: B008
        parts: Sequence[Part] = (Part(depth=1),),  # noqa: B008
        spare: Part | None = None,
        mode: Literal["fast", "exact"] = "fast",
        ratio: float | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.part = part
        self.parts = parts
        self.spare = spare
        self.mode = mode
        self.ratio = ratio
        self.options = options
        self.fitted: list[int] = []


class FastPart(Part):
    """A part that inherits its arguments."""

    type = "fast_part"


# -- the signature ------------------------------------------------------------------------------------------------


def test_parameters_come_from_signature_and_docstring():
    parameters = Machine.spec.parameters
    assert list(parameters) == ["name", "part", "parts", "spare", "mode", "ratio", "options"]
    assert REQUIRED is parameters["name"].default
    assert (True, False) == (parameters["name"].required, parameters["mode"].required)
    assert parameters["mode"].default == "fast"
    assert parameters["mode"].help == "How it runs."
    assert Part.spec.parameters["depth"].help == "How deep, and over two lines."
    assert (False, True) == (Part.spec.parameters["depth"].runtime, Part.spec.parameters["speed"].runtime)


def test_slots_are_the_parameters_that_hold_components():
    slots = {
        name: p.slot and (p.slot.contract, p.slot.container, p.slot.optional)
        for name, p in Machine.spec.parameters.items()
    }
    assert slots == {
        "name": None,
        "part": (Part, "one", False),
        "parts": (Part, "list", False),
        "spare": (Part, "one", True),
        "mode": None,
        "ratio": None,
        "options": None,
    }


def test_the_docstring_is_told_apart():
    assert Part.spec.summary == "A part."
    assert Part.spec.doc == "A part. It has a long story.\n\nTold here."
    assert set(FastPart.spec.parameters) == {"depth", "speed"}
    assert FastPart.spec.parameters["speed"].help == "How fast."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def __init__(self, *args: int) -> None: pass", "takes \\*args or \\*\\*kwargs"),
        ("def __init__(self, **kwargs: int) -> None: pass", "takes \\*args or \\*\\*kwargs"),
        ("def __init__(self, loud=1) -> None: pass", "argument 'loud' has no type"),
        ("def __init__(self, notes: int = 1) -> None: pass", "'notes' is an attribute of every component"),
    ],
)
def test_a_constructor_that_cannot_be_read_is_the_authors_mistake(source, message):
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    bad = type("Bad", (Component,), {"__init__": namespace["__init__"]})
    with pytest.raises(TypeError, match=message):
        len(bad.spec.parameters)


# -- arguments ----------------------------------------------------------------------------------------------------


def message_of(make) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Part(depth=True), "'part': depth must be a valid integer, got True"),
        (lambda: Part(depth=2.0), "'part': depth must be a valid integer, got 2.0"),
        (lambda: Part(depth="2"), "'part': depth must be a valid integer, got '2'"),
        (lambda: Part(depth=None), "'part': depth must be a valid integer, got None"),
        (lambda: Part(depth=0), "'part': depth must be greater than or equal to 1, got 0"),
        (lambda: Part(depth=10), "'part': depth must be less than or equal to 9, got 10"),
        (lambda: Machine("m", ratio=float("nan")), "'machine': ratio must be a finite number, got nan"),
        (lambda: Machine("m", ratio=float("inf")), "'machine': ratio must be a finite number, got inf"),
        (lambda: Machine("m", ratio=False), "'machine': ratio must be a valid number, got False"),
        (lambda: Machine("m", mode="slow"), "'machine': mode must be 'fast' or 'exact', got 'slow'"),
        (lambda: Machine("m", part=5), "'machine': part expected a component of kind 'part', got 5"),
        (lambda: Machine("m", part=Part), f"'machine': part expected a component of kind 'part', got {Part!r}"),
        (lambda: Machine("m", parts=[Part(), 5]), "'machine': parts.1 expected a component of kind 'part', got 5"),
        (lambda: Machine("m", part=None), "'machine': part expected a component of kind 'part', got None"),
        (lambda: Machine(), "'machine': missing argument 'name'"),
        (lambda: Machine("m", "n"), "'machine': too many positional arguments"),
        (lambda: Machine("m", name="n"), "'machine': multiple values for argument 'name'"),
        (
            lambda: Part(dept=2),
            "dept: unknown argument 'dept' of 'part'; did you mean 'depth'? (valid: depth, speed)",
        ),
        (lambda: MinMax(k=60), "k: unknown argument 'k' of 'min_max'"),
        (lambda: Flat(3), "'flat': too many positional arguments"),
        (lambda: MaxSim(embedder=LSA()), "'max_sim': embedder expected a TokenEmbedder, got LSA()"),
    ],
)
def test_a_wrong_argument_is_named_with_rule_and_value(make, expected):
    assert message_of(make) == expected


def test_every_wrong_argument_is_told_at_once():
    assert message_of(lambda: Machine(mode=1, ratio="2")).splitlines() == [
        "'machine': missing argument 'name'",
        "'machine': mode must be 'fast' or 'exact', got 1",
        "'machine': ratio must be a valid number, got '2'",
    ]


def test_a_long_value_is_cut_in_the_message():
    message = message_of(lambda: Part(depth="x" * 1000))
    assert message.endswith("...")
    assert len(message) < 150


@given(st.integers(-5, 20))
def test_bounds_hold_for_every_integer(value):
    if 1 <= value <= 9:
        assert value == Part(depth=value).depth
    else:
        assert "depth must be" in message_of(lambda: Part(depth=value))


@pytest.mark.parametrize(
    ("given", "expected"),
    [(np.int64(4), 4), (np.uint8(4), 4), (np.array(4), 4), (4, 4)],
)
def test_numpy_integers_become_python_integers(given, expected):
    depth = Part(depth=given).depth
    assert (expected, int) == (depth, type(depth))


def test_numpy_numbers_become_python_numbers_in_lists_too():
    parts = [BM25(), BM25()]
    weights = list(np.linspace(0.25, 1, 2))
    hybrid = Hybrid(retrievers=parts, weights=weights)
    assert hybrid.weights == [0.25, 1.0]
    assert {type(weight) for weight in hybrid.weights} == {float}
    assert "0.25" in Pipeline(retriever=hybrid).to_yaml()
    assert "name must be a valid string" in message_of(lambda: Machine(np.int64(3)))
    assert "depth must be a valid integer" in message_of(lambda: Part(depth=np.float64(3)))
    assert "depth must be a valid integer" in message_of(lambda: Part(depth=np.bool_(True)))


def test_a_list_that_was_given_may_be_changed_afterwards():
    parts, options = [Part(depth=2)], {"a": [1]}
    machine = Machine("m", parts=parts, options=options)
    before = machine.fingerprint, machine.spec.to_config()
    parts.append(Part(depth=7))
    options["a"].append(2)
    options["b"] = 3
    assert [type(child) for _, child in machine.spec.children() if child.depth == 2] == [Part]
    assert before == (machine.spec.clone().fingerprint, machine.spec.to_config())


def test_defaults_are_cloned_for_every_instance():
    machine, other = Machine("a"), Machine("b")
    default = Machine.spec.parameters["part"].default
    assert len({id(machine.part), id(other.part), id(default)}) == 3
    assert len({id(machine.parts[0]), id(other.parts[0]), id(Machine.spec.parameters["parts"].default[0])}) == 3
    assert machine.part.fingerprint == other.part.fingerprint == default.fingerprint
    assert Dense(embedder=LSA()).index is not Dense(embedder=LSA()).index


# -- the tree -----------------------------------------------------------------------------------------------------


def tree() -> Machine:
    return Machine("m", part=Part(depth=2), parts=[Part(depth=4), FastPart()], spare=Part(depth=5))


def test_the_tree_is_walked_with_places():
    machine = tree()
    assert list(machine.spec.walk()) == [
        ("", machine),
        ("part", machine.part),
        ("parts.0", machine.parts[0]),
        ("parts.1", machine.parts[1]),
        ("spare", machine.spare),
    ]
    assert [(f"x.{path}" if path else "x", part) for path, part in machine.spec.walk()] == list(machine.spec.walk("x"))


def test_repr_shows_what_is_not_default():
    assert (
        repr(tree()) == "Machine(name='m', part=Part(depth=2), parts=[Part(depth=4), FastPart()], spare=Part(depth=5))"
    )
    assert repr(Machine("m")) == "Machine(name='m')"
    assert repr(Part(depth=3)) == "Part()"


def test_to_config_writes_every_argument():
    assert Machine("m", ratio=0.5, options={"a": (1, {"b": None})}).spec.to_config() == {
        "type": "machine",
        "name": "m",
        "part": {"type": "part", "depth": 3, "speed": 1},
        "parts": [{"type": "part", "depth": 1, "speed": 1}],
        "spare": None,
        "mode": "fast",
        "ratio": 0.5,
        "options": {"a": [1, {"b": None}]},
    }


def test_an_argument_that_yaml_cannot_hold_is_named():
    machine = Machine("m", options={"a": [object()]})
    assert (
        message_of(machine.spec.to_config)
        == "'machine'.options is a Python object (object): a YAML file cannot name it"
    )


def test_a_clone_is_new_all_the_way_down():
    machine = tree()
    machine.fitted.append(1)
    clone = machine.spec.clone()
    assert (machine.fingerprint, repr(machine)) == (clone.fingerprint, repr(clone))
    assert clone.fitted == []
    assert {id(part) for _, part in machine.spec.walk()}.isdisjoint({id(part) for _, part in clone.spec.walk()})


def test_adopting_shares_what_was_fitted_and_keeps_what_was_given():
    mine, twin = tree(), tree()
    twin.fitted = [1, 2]
    twin.parts[1].state = "deep"
    own_part = mine.part
    mine.spec.copy_state_from(twin)
    assert twin.fitted is mine.fitted
    assert mine.parts[1].state == "deep"
    assert own_part is mine.part
    assert mine.spec.arguments["part"] is own_part


def test_arguments_cannot_be_changed_through_the_view():
    with pytest.raises(TypeError):
        Part().spec.arguments["depth"] = 5


# -- fingerprints -------------------------------------------------------------------------------------------------


OTHERS: dict[str, Any] = {
    "name": "other",
    "part": Part(depth=7),
    "parts": [],
    "spare": Part(),
    "mode": "exact",
    "ratio": 0.25,
    "options": {},
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_every_argument_is_part_of_the_fingerprint(name):
    plain = Machine("m")
    other = Machine(**({"name": "m"} | {name: OTHERS[name]}))
    assert plain.fingerprint != other.fingerprint


def test_runtime_arguments_are_not_however_deep():
    assert Part(speed=5).fingerprint == Part().fingerprint

    class Limited(Component):
        """Limited.

        Args:
            rate: How often.
            price: For what.
        """

        kind = "limited"

        def __init__(
            self,
            *,
            rate: Annotated[float, Runtime()] | None = None,
            price: Annotated[Annotated[float, Runtime()] | None, Field(ge=0)] = None,
        ) -> None:
            self.rate, self.price = rate, price

    assert Limited(rate=2.0, price=1.0).fingerprint == Limited().fingerprint
    assert Machine("m", part=Part(speed=5), parts=[Part(depth=1, speed=9)]).fingerprint == Machine("m").fingerprint
    assert Machine("m", part=Part(depth=5)).fingerprint != Machine("m").fingerprint


def test_order_type_and_version_are_part_of_the_fingerprint(monkeypatch):
    ab, ba = (Machine("m", parts=parts) for parts in ([Part(), Part(depth=2)], [Part(depth=2), Part()]))
    assert ab.fingerprint != ba.fingerprint
    assert Part().fingerprint != FastPart().fingerprint
    before = Part().fingerprint
    monkeypatch.setattr(Part, "version", 2)
    assert before != Part().fingerprint


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_same_argument_with_and_without_point(value):
    assert Machine("m", ratio=value).fingerprint == Machine("m", ratio=float(value)).fingerprint


def test_numbers_that_compare_equal_but_mean_other_things_differ():
    assert Machine("m", options={"a": 1}).fingerprint != Machine("m", options={"a": True}).fingerprint
    assert Machine("m", options={"a": 1}).fingerprint != Machine("m", options={"a": "1"}).fingerprint
    assert Machine("m", options={"a": None}).fingerprint != Machine("m", options={}).fingerprint


def test_two_live_objects_are_never_taken_for_one():
    first, other = (Machine("m", options={"a": object()}) for _ in range(2))
    assert first.fingerprint != other.fingerprint
    assert first.fingerprint == first.spec.clone().fingerprint


# -- round trips of our own ---------------------------------------------------------------------------------------

POSITIVE = st.integers(1, 2**31)
BM25S = st.builds(
    BM25,
    k1=st.floats(0, 100),
    b=st.floats(0, 1),
    delta=st.floats(0, 10),
    variant=st.sampled_from(["lucene", "robertson", "atire", "bm25l", "bm25+"]),
    stemmer=st.sampled_from([None, "english", "porter", "german"]),
    stopwords=st.sampled_from([None, "en", "de"]) | st.lists(st.text()),
    lowercase=st.booleans(),
    top_k=POSITIVE,
)
DENSES = st.builds(
    Dense,
    embedder=st.builds(LSA, dim=st.integers(2, 4096), min_df=POSITIVE, stop_words=st.booleans()),
    index=st.builds(Flat) | st.builds(HNSW, m=st.integers(2, 512), ef_search=st.integers(1, 10**6)),
    metric=st.sampled_from(["cosine", "inner_product"]),
    top_k=POSITIVE,
)
RETRIEVERS = BM25S | DENSES
HYBRIDS = st.builds(
    Hybrid,
    retrievers=st.lists(RETRIEVERS, min_size=2, max_size=2),
    fusion=st.builds(MinMax) | st.builds(RRF, k=st.floats(0, 1e6) | st.integers(0, 1000)),
    weights=st.none() | st.tuples(st.floats(0.1, 5), st.floats(0, 1)).map(list),
)
PIPELINES = st.builds(
    Pipeline,
    retriever=RETRIEVERS | HYBRIDS,
    chunker=st.builds(NoChunker),
    stages=st.lists(
        st.builds(Threshold, min_score=st.none() | st.floats(allow_nan=False, allow_infinity=False)), max_size=2
    ),
)


@given(PIPELINES)
def test_any_pipeline_is_built_again_from_its_configuration_and_its_yaml(pipeline):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        file.write_text(pipeline.to_yaml(), encoding="utf-8")
        from_file = Pipeline.from_yaml(file)
    for again in (Pipeline.from_config(pipeline.spec.to_config()), from_file):
        assert pipeline.spec.to_config() == again.spec.to_config()
        assert pipeline.fingerprint == again.fingerprint
        assert repr(pipeline) == repr(again)


def test_a_rule_between_two_arguments_is_told_like_any_other():
    assert (
        message_of(lambda: Rerank(scorer=MaxSim(embedder=WordEmbedder()), budget=3, top_k=5, scores="scorer"))
        == "top_k: must be at most the budget (3), got 5"
    )
    mistakes = Mistakes()
    node = node_from_python({"type": "hybrid", "retrievers": [{"type": "bm25"}] * 2, "weights": [0.0, 0.0]})
    assert build(node, Hybrid, mistakes=mistakes) is None
    assert list(map(str, mistakes)) == ["weights: at least one weight must be above 0"]


def test_the_contract_fits_a_page():
    public = {name for name in dir(Component) if not name.startswith("_")} - {"register"}  # of abc
    assert public == {
        "kind", "type", "version", "needs", "fingerprint", "spec",
        "prepare", "fit", "update", "save_state", "load_state", "notes",
    }  # fmt: skip


def test_an_argument_that_came_later_changes_the_fingerprint_only_beyond_its_default() -> None:
    class Engine(Component):
        """An engine.

        Args:
            power: How strong.
        """

        kind = "engine"
        type = "engine"

        def __init__(self, *, power: int = 1) -> None:
            self.power = power

    before = Engine(power=2).fingerprint

    class Tuned(Component):
        """An engine.

        Args:
            power: How strong.
            fuel: What it burns.
        """

        kind = "engine"
        type = "engine"

        def __init__(self, *, power: int = 1, fuel: Annotated[str | None, Later()] = None) -> None:
            self.power = power
            self.fuel = fuel

    assert Tuned(power=2).fingerprint == before
    assert Tuned(power=2, fuel="oil").fingerprint not in {before, Tuned(power=2, fuel="gas").fingerprint}
