"""Search spaces: what exists where, constraints, and every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError
from rag.config.source import node_from_python
from rag.hpo import Categorical, Choice, FloatRange, IntRange, MaybePresent
from rag.hpo.space.distributions import unit
from rag.hpo.space.space import Space
from rag.hpo.sweep import check_sweep, read_sweep

SWEEP = """\
type: sweep
pipeline:
  type: pipeline
  chunker:
    type: recursive
    size: {tune: int, low: 100, high: 400, step: 100}
    overlap: {tune: int, low: 0, high: 200, step: 100}
    unit: characters
  retriever:
    tune: choice
    options:
      - {type: bm25, k1: {tune: categorical, choices: [0.9, 1.5]}}
      - type: dense
        embedder: {type: lsa, dim: {tune: categorical, choices: [8, 16]}}
        index:
          tune: choice
          options: [{type: flat}, {type: hnsw, m: {tune: categorical, choices: [8, 16]}}]
  stages:
    - {tune: optional, of: {type: threshold, min_relative: {tune: categorical, choices: [0.2, 0.5]}}}
constraints: [overlap < size]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def space(write) -> Space:
    return read_sweep(write(SWEEP)).space


def refused(path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_sweep(path)
    return [str(mistake).replace(str(path), "sweep.yaml") for mistake in caught.value.mistakes]


def test_parameters_are_named_by_their_place(space):
    assert [parameter.name for parameter in space.parameters] == [
        "chunker.size",
        "chunker.overlap",
        "retriever",
        "retriever[bm25].k1",
        "retriever[dense].embedder.dim",
        "retriever[dense].index",
        "retriever[dense].index[hnsw].m",
        "stages.0",
        "stages.0.min_relative",
    ]


def test_every_point_is_counted_once(space):
    # (size, overlap) with overlap < size: 1 + 2 + 3 + 3; retrievers: 2 + 2 * (1 + 2); stages: 1 + 2
    assert 9 * 8 * 3 == len(space.points) == len(set(space.keys))
    assert all(space.contains(point) and space.allows(point) for point in space.points)


def test_what_a_branch_has_does_not_leak_into_others(space):
    for point in space.points:
        config = space.pipeline(point).spec.to_config()
        assert ("retriever[bm25].k1" in point) == (config["retriever"]["type"] == "bm25")
        assert ("retriever[dense].index[hnsw].m" in point) == (
            config["retriever"].get("index", {}).get("type") == "hnsw"
        )
        assert ("stages.0.min_relative" in point) == (len(config["stages"]) == 1)


@given(seed=st.integers(0, 10_000))
def test_what_a_trial_is_asked_for_is_a_point(seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    point = SPACE.suggest(trial)
    assert point == SPACE.written(trial.params)
    assert SPACE.contains(point)
    SPACE.pipeline(point)


@given(seed=st.integers(0, 10_000))
def test_drawn_points_meet_the_constraints(seed):
    point = SPACE.draw(np.random.default_rng(seed))
    assert SPACE.contains(point)
    assert SPACE.allows(point)


SPACE = Space.parse(
    node_from_python(
        {
            "type": "pipeline",
            "retriever": Choice(
                options=[
                    {
                        "type": "bm25",
                        "k1": FloatRange(low=0.1, high=10, log=True),
                        "b": FloatRange(low=0, high=1, step=0.1),
                    },
                    {
                        "type": "dense",
                        "embedder": {"type": "lsa", "dim": IntRange(low=2, high=50, log=True, name="dim")},
                    },
                ]
            ),
            "stages": [MaybePresent(of={"type": "threshold", "min_relative": FloatRange(low=0.1, high=1, name="cut")})],
        }
    ),
    constraints=[node_from_python("cut < 0.5 or dim > 10")],
    mistakes=(MISTAKES := []),
)
assert not MISTAKES


def test_an_alias_is_one_parameter(write):
    text = """\
type: sweep
pipeline:
  type: pipeline
  retriever:
    type: hybrid
    retrievers:
      - {type: bm25, top_k: &depth {tune: int, low: 5, high: 9}}
      - {type: dense, embedder: {type: lsa}, top_k: *depth}
"""
    space = read_sweep(write(text)).space
    assert [parameter.name for parameter in space.parameters] == ["retriever.retrievers.0.top_k"]
    hybrid = space.pipeline({"retriever.retrievers.0.top_k": 7}).retriever
    assert [retriever.top_k for retriever in hybrid.retrievers] == [7, 7]


def test_a_name_given_twice_is_one_parameter_or_a_mistake(write):
    text = """\
type: sweep
pipeline:
  type: pipeline
  retriever:
    type: bm25
    k1: {tune: float, low: 0, high: 1, name: x}
    b: {tune: float, low: 0, high: %s, name: x}
"""
    assert [parameter.name for parameter in read_sweep(write(text % 1)).space.parameters] == ["x"]
    assert refused(write(text % 0.5)) == [
        "sweep.yaml:7:8: pipeline.retriever.b: two different distributions are called 'x'"
    ]


def test_the_baseline_has_defaults_given_the_components_own_and_first_choices(space, write):
    assert {
        "chunker.size": 300,
        "chunker.overlap": 0,
        "retriever": "bm25",
        "retriever[bm25].k1": 0.9,
        "stages.0": False,
    } == {**space.start}
    text = """\
type: sweep
pipeline:
  type: pipeline
  retriever:
    type: bm25
    k1: {tune: float, low: 0.5, high: 2}
    b: {tune: float, low: 0.5, high: 0.7}
    top_k: {tune: int, low: 5, high: 500, default: 50}
  stages: [{tune: optional, default: true, of: {type: threshold, top_k: 3}}]
"""
    start = read_sweep(write(text)).space.start
    # bm25 has k1 1.5, and b 0.75, which is not in the range: the middle.
    assert (1.5, 0.6, 50, True) == (
        start["retriever.k1"],
        start["retriever.b"],
        start["retriever.top_k"],
        start["stages.0"],
    )


def test_a_pipeline_file_may_be_extended(write, tmp_path):
    (tmp_path / "base.yaml").write_text("type: pipeline\nretriever: {type: bm25, k1: 1.3}\n")
    sweep = read_sweep(
        write("type: sweep\npipeline:\n  extends: base.yaml\n  retriever: {b: {tune: float, low: 0, high: 1}}\n")
    )
    assert (lambda r: (r.k1, r.b))(sweep.space.pipeline({"retriever.b": 0.25}).retriever) == (1.3, 0.25)


def test_a_distribution_replaces_a_component_of_the_file_extended(write, tmp_path):
    (tmp_path / "base.yaml").write_text("type: pipeline\nretriever: {type: bm25, k1: 1.3}\n")
    options = "{tune: choice, options: [{type: bm25}, {type: bm25, k1: 2.0}]}"
    text = f"type: sweep\npipeline:\n  extends: base.yaml\n  retriever: {options}\n"
    space = read_sweep(write(text)).space
    assert space.parameters[0].distribution.names == ["bm25", "bm25-2"]
    assert space.pipeline({"retriever": "bm25-2"}).retriever.k1 == 2.0


def test_mistakes_have_their_places(write):
    text = SWEEP.replace("low: 100, high: 400", "low: 500, high: 400")
    assert refused(write(text)) == ["sweep.yaml:6:28: pipeline.chunker.size.low: low (500) is above high (400)"]
    text = SWEEP.replace("{type: lsa, dim", "{type: lsa, dimm").replace("choices: [0.9, 1.5]", "choices: [0.9, -1]")
    told = refused(write(text))
    assert told[:1] == [
        "sweep.yaml:12:61: pipeline.retriever.k1: must be greater than or equal to 0, got -1",
    ]
    assert "14:31: pipeline.retriever.embedder: unknown argument 'dimm' of 'lsa'; did you mean 'dim'?" in told[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("overlap < size", "overlap < siz", "unknown parameter 'siz'"),
        ("overlap < size", "overlap <", "not an expression"),
        ("overlap < size", "__import__('os').system('x') < 1", "is not allowed"),
        ("overlap < size", "overlap > 1000", "the space is empty: no point meets the constraints"),
        ("tune: int, low: 100", "tune: itn, low: 100", "unknown distribution 'itn'; did you mean 'int'?"),
        ("tune: int, low: 100", "tune: int, type: int, low: 100", "give one of them"),
        ("high: 400, step", "step", "missing argument 'high' of 'int'"),
        ("[0.2, 0.5]", "[]", "at least 1 item"),
        ("[0.2, 0.5]", "[0.2, 0.2]", "0.2 is given twice"),
    ],
)
def test_one_message_for_each_mistake(write, old, new, message):
    assert message in " ".join(refused(write(SWEEP.replace(old, new))))


def test_an_empty_space(write):
    told = refused(write("type: sweep\npipeline:\n  type: pipeline\n  retriever: {type: bm25}\n"))
    assert told[0].startswith("sweep.yaml:3:3: pipeline: the space is empty: put a distribution")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "objectives: [nDCH@10]",
            "2:13: objectives: unknown objective: unknown measure 'nDCH@10'; did you mean 'nDCG@10'?",
        ),
        ("objectives: [nDCG@10, nDCG@10]", "the objective nDCG@10 is given twice"),
        ("objectives: []", "name at least one"),
        ("sampler: tpee", "unknown sampler 'tpee'; did you mean 'tpe'?"),
        ("storage: study.db", "2:10: storage: 'study.db' is not a storage: write journal:FILE, sqlite:///FILE"),
        ("n_trials: 0", "n_trials: must be greater than or equal to 1, got 0"),
        ("splits: {tun: dev}", "splits"),
        ("early_stopping: 0.7", "must be less than 0.5"),
        ("objectives: [nDCG@10, latency_p50_ms]\nsampler: greedy", "takes one objective, and there are 2"),
        ("objectives: [nDCG@10, latency_p50_ms]\nretest: 3", "give a front and no choice"),
        ("sampler: {type: greedy, order: [chunk]}", "2:32: sampler.order: unknown parameter 'chunk'"),
        ("objectives: [latency_p95]", "unknown objective: 'latency_p95'; did you mean 'latency_p95_ms'?"),
        ("constraints: [latency_p95 <= 3]", "unknown parameter 'latency_p95'; did you mean 'latency_p95_ms'?"),
        ("constraints: [size > 9000]", "2:14: constraints: the space is empty: no point meets the constraints (size"),
        ("enqueue: [{size: 1}]", "2:11: enqueue.0: {'size': 1} is not a point of the space"),
        ("enqueue: [{sizes: 1}]", "2:19: enqueue.0.sizes: unknown parameter 'sizes'"),
    ],
)
def test_mistakes_in_the_rest(write, line, message):
    text = SWEEP.replace("constraints: [overlap < size]\n", "").replace("type: sweep\n", f"type: sweep\n{line}\n")
    assert message in " ".join(refused(write(text)))


def test_every_mistake_is_told_at_once(write):
    text = SWEEP.replace("{type: lsa, dim", "{type: lsa, dimm").replace(
        "type: sweep\n", "type: sweep\nobjectives: [nDCH@10]\nn_trials: 0\n"
    )
    told = refused(write(text))
    assert [int(mistake.split(":")[1]) for mistake in told] == [2, 3, 16]


def test_check_says_what_is_in_it(write):
    assert "ok (9 parameters, 216 configurations: chunker.size" in check_sweep(write(SWEEP))
    assert "type: bm25" in check_sweep(write(SWEEP), resolved=True)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[4] / "configs" / "sweeps").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_sweeps_that_come_along_are_sweeps(path):
    assert f"{path}: ok (" in check_sweep(path)


def test_a_space_changed_is_another(write):
    original, other = (read_sweep(write(text)).space for text in (SWEEP, SWEEP.replace("high: 400", "high: 500")))
    assert original.fingerprint != other.fingerprint
    assert original.fingerprint == read_sweep(write(SWEEP)).space.fingerprint


@given(
    low=st.integers(1, 50),
    span=st.integers(0, 200),
    step=st.integers(1, 9),
    log=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whole_numbers_stay_in_range(low, span, step, log, seed):
    numbers = IntRange(low=low, high=low + span, step=1 if log else step, log=log)
    drawn = numbers.draw(np.random.default_rng(seed))
    assert numbers.contains(drawn)
    assert drawn in numbers.values()
    assert set(numbers.values(4)) <= set(numbers.values())
    assert len(numbers.values(4)) <= 4
    assert 0 <= unit(numbers, drawn) <= 1


def test_floats_with_a_step_are_written_as_people_do():
    assert FloatRange(low=0.1, high=0.45, step=0.1).values() == [0.1, 0.2, 0.3, 0.4]
    assert FloatRange(low=0.1, high=0.4, step=0.1).contains(0.3)


def test_what_may_be_absent_may_be_a_choice(write):
    either = "{tune: choice, options: [{type: threshold, top_k: {tune: int, low: 1, high: 2}}, {type: gap}]}"
    text = SWEEP.replace(
        "of: {type: threshold, min_relative: {tune: categorical, choices: [0.2, 0.5]}}", f"of: {either}"
    )
    space = read_sweep(write(text)).space
    names = [parameter.name for parameter in space.parameters]
    assert names[-3:] == ["stages.0", "stages.0[of]", "stages.0[of][threshold].top_k"]
    stage_types = {
        str([stage.spec.to_config()["type"] for stage in space.pipeline(point).stages]) for point in space.points
    }
    assert stage_types == {"[]", "['threshold']", "['gap']"}


def test_a_number_may_be_left_at_its_default(write):
    text = SWEEP.replace(
        "{tune: int, low: 100, high: 400, step: 100}", "{tune: optional, of: {tune: int, low: 300, high: 400}}"
    )
    space = read_sweep(write(text)).space
    assert {"chunker.size", "chunker.size[of]"} <= {parameter.name for parameter in space.parameters}


def test_true_and_one_are_two_choices():
    choices = Categorical(choices=["a", 1])
    assert choices.contains(1)
    assert not choices.contains(True)
    assert not choices.contains(1.0)
