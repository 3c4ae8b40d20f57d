"""Failure modes and what each costs, on pipelines whose faults are known; and what the run folder keeps of stages."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import Corpus, Document, GapFilter, Pipeline, Query, Threshold
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.eval import Dataset, Split, evaluate
from rag.eval.diagnostics.attribution import NOT_IN_CORPUS, Attribution, oracle
from rag.eval.diagnostics.failures import failure_modes, words
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query, short_lists
from rag.eval.reports.markdown import as_markdown
from rag.eval.runs.folder import write_run
from rag.rerankers import Rerank
from rag.retrievers import BM25
from tests.fake_runs import write_fake_run
from tests.fakes import CountingScorer

DOCUMENTS = [Document(f"d{n}", "apple " * (10 - n) + "pear " * n) for n in range(10)]
QUERIES = [Query("apples", "apple"), Query("pears", "pear"), Query("nothing", "apple")]
QRELS = {
    "apples": {"d0": 2, "d1": 1, "d8": 1, "gone": 1},
    "pears": {"d9": 1, "d0": 1},
    "nothing": {"d0": 0},
}


def measured(queries=QUERIES, qrels=QRELS, *, measures=("nDCG@2",), ignore=False, **options):
    dataset = Dataset("d", Corpus.from_documents(DOCUMENTS), {"test": Split(queries, qrels)})
    return evaluate(Pipeline(**options), dataset, measures=list(measures), timed=False, ignore_identical_ids=ignore)


def three_stages(**options):
    stages = [Rerank(scorer=CountingScorer(), budget=6, scores="scorer"), Threshold(top_k=2)]
    return measured(retriever=BM25(top_k=10), stages=stages, **options)


def test_every_fault_is_booked_on_the_stage_that_made_it():
    faults = three_stages().failures
    assert {("not_in_corpus", None), ("cut_budget", "stages.0 rerank"), ("cut_top_k", "stages.1 threshold")} <= {
        (fault["mode"], fault["stage"]) for fault in faults["apples"]
    }
    missed = next(fault for fault in faults["pears"] if fault["mode"] == "missed")
    assert {k: missed[k] for k in ("mode", "stage", "documents")} == {
        "mode": "missed",
        "stage": "retriever",
        "documents": 1,
    }
    # With d9 alone in place nDCG@2 is 1 / (1 + 1/log2(3)): the rest is what d0 would have added.
    assert missed["loss"] == pytest.approx(1 - 1 / (1 + 1 / np.log2(3)))
    assert "nothing" not in faults


def test_the_modes_in_metrics_are_sums_over_queries_and_the_dearest_comes_first():
    evaluation = three_stages()
    modes = evaluation.metrics["failures"]
    assert [failure["loss"] for failure in modes] == sorted((failure["loss"] for failure in modes), reverse=True)
    for mode in modes:
        entries = [
            fault
            for faults in evaluation.failures.values()
            for fault in faults
            if (fault["mode"], fault["stage"]) == (mode["mode"], mode["stage"])
        ]
        assert mode["documents"] == sum(fault["documents"] for fault in entries)
        assert mode["queries"] == len(entries)
        assert mode["loss"] == pytest.approx(sum(fault["loss"] for fault in entries) / 3)
        assert mode["share"] == pytest.approx(mode["documents"] / 6)
        assert all(query["loss"] > 0 for query in mode["worst"])
    assert len(evaluation.lost_at) == sum(failure["documents"] for failure in modes if failure["mode"] != "low")


@settings(max_examples=30, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", ["nDCG@3", "AP", "R@3", "RR@10", "SetF"])
def test_losses_and_value_add_up_to_the_best_possible(name, data):
    """Any relevant documents, any rankings after each stage, stages that find again what was gone included."""
    corpus = Corpus.from_documents(DOCUMENTS)
    queries = [Query(f"q{n}", "apple") for n in range(3)]
    ids = [*(f"d{n}" for n in range(10)), "gone"]
    grades = st.dictionaries(st.sampled_from(ids), st.integers(0, 3), min_size=1)
    qrels = {query.id: data.draw(grades) for query in queries}
    stages = ["first", "second", "third"]
    tables = {name: _table(data.draw, len(queries)) for name in stages}
    attribution = Attribution(stages)
    attribution.add(queries, tables, corpus, qrels)
    (measure,) = parse_measures([name])
    last = tables["third"]
    run = {
        query.id: {f"d{d}": -float(rank) for rank, d in enumerate(row[row >= 0].tolist())}
        for query, row in zip(queries, last.documents, strict=True)
    }
    values = per_query([measure], qrels, run)[name]
    faults = failure_modes(attribution, measure, qrels, values)
    best = oracle(measure, qrels, attribution.keys)
    for query in queries:
        lost = sum(fault["loss"] for fault in faults.get(query.id, []))
        assert best[query.id] == pytest.approx(values[query.id] + lost)
    for (query, document), ranks in attribution.ranks().items():
        row = [q.id for q in queries].index(query)
        for stage, rank in zip(stages, ranks, strict=True):
            listed = tables[stage].documents[row].tolist()
            known = document != "gone" and int(document[1:]) in listed
            assert rank == (listed.index(int(document[1:])) + 1 if known else None)


def _table(draw, n):
    width = draw(st.integers(0, 6))
    rows = [draw(st.permutations(range(10)))[:width] for _ in range(n)]
    positions = np.array(rows, dtype=np.int64).reshape(n, width)
    for row in positions:
        row[draw(st.integers(0, width)) :] = -1
    scores = np.where(positions >= 0, -np.arange(width, dtype=np.float32), -np.inf).astype(np.float32)
    return Candidates(positions, scores, positions)


def test_what_is_returned_below_others_or_below_the_cutoff_is_ranked_low():
    by_query = measured(retriever=BM25(top_k=10), measures=["nDCG@2"]).failures
    # Apples: d0, d1 on top, as good as it gets, but d8 is the ninth, below the cutoff; pears has d9 on top.
    low = {query: fault for query, faults in by_query.items() for fault in faults if fault["mode"] == "low"}
    assert {query: fault["documents"] for query, fault in low.items()} == {"apples": 1}
    assert low["apples"]["loss"] == 0
    queries, qrels = [Query("apples", "apple")], {"apples": {"d2": 1, "d1": 1}}
    by_query = measured(queries, qrels, retriever=BM25(top_k=10), measures=["nDCG@10"]).failures
    assert [(fault["mode"], fault["documents"]) for fault in by_query["apples"]] == [("low", 1)]  # 2 and 3, for 1 and 2


def test_a_measure_of_sets_knows_no_order_only_what_is_not_wanted():
    evaluation = measured(retriever=BM25(top_k=10), measures=["SetP"])
    losses = {
        query: {(fault["mode"], fault["documents"]): fault["loss"] for fault in faults if fault["loss"]}
        for query, faults in evaluation.failures.items()
    }
    # Apple is in all but d9; for nothing anything is too much.
    assert set(losses) == {"apples", "pears", "nothing"}
    assert losses["nothing"] == {("unwanted", 0): 1.0}
    assert losses["apples"] == {("unwanted", 0): pytest.approx(1 - 3 / 10)}
    modes = {failure["mode"]: failure for failure in evaluation.metrics["failures"]}
    assert "low" not in modes
    assert words("unwanted", None) == "returned with what is not relevant"
    assert evaluation.mean("SetP") + sum(failure["loss"] for failure in modes.values()) == pytest.approx(1)


def test_the_run_folder_has_what_every_stage_returned(tmp_path):
    evaluation = three_stages()
    folder = write_run(evaluation, tmp_path / "run")
    rows = {row["query_id"]: row for row in pq.read_table(folder / "per_query.parquet").to_pylist()}
    apples = rows["apples"]
    assert [stage["name"] for stage in apples["stages"]] == ["retriever", "stages.0 rerank", "stages.1 threshold"]
    assert [stage["candidates"] for stage in apples["stages"]] == [10, 6, 2]
    assert [len(stage["best"]) for stage in apples["stages"]] == [10, 6, 2]
    last = apples["stages"][-1]["best"]
    assert [(hit["id"], hit["score"], hit["grade"]) for hit in apples["returned"]] == [
        (hit["id"], hit["score"], hit["grade"]) for hit in last
    ]
    first = {hit["id"]: rank for rank, hit in enumerate(apples["stages"][0]["best"], 1)}
    for document in apples["expected"]:
        assert document["ranks"][0] == first.get(document["id"])
        assert document["ranks"][-1] == document["rank"]
    assert all(hit["passage"].startswith("apple") for hit in apples["stages"][0]["best"])
    assert evaluation.failures["apples"] == apples["failures"]
    assert rows["nothing"]["failures"] == []


def test_a_document_that_does_not_count_is_in_no_list():
    queries, qrels = [Query("d3", "apple")], {"d3": {"d3": 1, "d5": 1}}
    evaluation = measured(queries, qrels, retriever=BM25(top_k=10), measures=["nDCG@2"], ignore=True)
    (stage,) = evaluation.stages
    assert stage.counts.tolist() == [9]
    assert 3 not in stage.best.documents
    assert evaluation.ranks == {("d3", "d5"): [5]}  # the sixth, less the one left out


def test_markdown_lists_the_modes_and_the_queries_they_cost_most(tmp_path):
    evaluation = three_stages()
    text = as_markdown(write_run(evaluation, tmp_path / "run"))
    lines = text[text.index("| failure mode ") :].splitlines()
    modes = evaluation.metrics["failures"]
    assert [words(failure["mode"], failure["stage"]) for failure in modes] == [
        line.split(" | ")[0].removeprefix("| ") for line in lines[2 : 2 + len(modes)]
    ]
    assert "| missed by the first stage, retriever | 1 | 16.7% | 0.1290 | retriever.top_k | pears (0.39) |" in lines


def test_markdown_of_a_run_from_before_there_were_modes(tmp_path):
    text = as_markdown(write_fake_run(tmp_path, old=True))
    assert "failure mode" not in text
    assert "| nDCG@10 |" in text


def test_words_name_the_stage():
    assert NOT_IN_CORPUS == words("not_in_corpus", None)
    assert words("missed", "retriever") == "missed by the first stage, retriever"
    assert words("cut", "stages.1 gap") == "cut by stages.1 gap"
    assert words("low", None) == "found but ranked low"


# -- which setting cut a document ------------------------------------------------------------------------------------


def modes_of(*stages, top_k=10):
    queries, qrels = [Query("apples", "apple")], {"apples": {f"d{n}": 1 for n in range(9)}}
    evaluation = measured(
        queries, qrels, retriever=BM25(k1=0.9, b=0.4, top_k=top_k), stages=list(stages), measures=["nDCG@10"]
    )
    return {
        (failure["mode"], failure["stage"]): (failure["documents"], failure["setting"])
        for failure in evaluation.metrics["failures"]
    }


def test_threshold_budget_and_top_k_are_different_faults_with_a_setting_each():
    # BM25 finds d0 to d8 in this order: the more apples, the higher.
    assert modes_of(Threshold(top_k=4)) == {("cut_top_k", "stages.0 threshold"): (5, "stages.0.top_k")}
    relative = modes_of(Threshold(min_relative=0.95))
    (((mode, stage), (documents, setting)),) = relative.items()
    assert (mode, stage, setting) == ("cut_threshold", "stages.0 threshold", "stages.0.min_relative")
    assert modes_of(Threshold(min_relative=0.95, top_k=3)) == {
        ("cut_threshold", "stages.0 threshold"): (documents, "stages.0.min_relative"),
        ("cut_top_k", "stages.0 threshold"): (6 - documents, "stages.0.top_k"),
    }
    assert modes_of(Threshold(min_score=-1.0, min_relative=0.95))[mode, stage] == (
        documents,
        "stages.0.min_score or stages.0.min_relative",
    )
    assert modes_of(top_k=7) == {("missed", "retriever"): (2, "retriever.top_k")}


def test_what_a_reranker_never_scored_is_cut_by_its_budget():
    cut = modes_of(Rerank(scorer=CountingScorer(), budget=6, top_k=5, scores="scorer"))
    assert cut["cut_budget", "stages.0 rerank"] == (3, "stages.0.budget")
    assert cut["cut_top_k", "stages.0 rerank"] == (1, "stages.0.top_k")
    assert modes_of(Rerank(scorer=CountingScorer(), budget=6, scores="scorer"))["cut_budget", "stages.0 rerank"][0] == 3


@pytest.mark.parametrize(
    "filter",
    [
        Threshold(min_relative=0.8, top_k=3),
        Threshold(min_score=0.1),
        Threshold(min_score=0.0, scale="z_score", top_k=5),
        Threshold(),
        GapFilter(),
        GapFilter(top_k=4),
    ],
)
def test_what_passes_and_is_among_the_first_is_what_a_filter_keeps(filter):
    pipeline = Pipeline(retriever=BM25(top_k=10), stages=[filter]).fit(Corpus.from_documents(DOCUMENTS))
    batch = QueryBatch(QUERIES, trace={})
    kept = pipeline.run(batch)
    given, stage = batch.trace["retriever"], pipeline.stages[0]
    passed = stage.passes(batch, given)
    first = np.cumsum(passed, axis=1) <= (stage.top_k or given.scores.shape[1])
    for row in range(len(QUERIES)):
        expected = given.documents[row][(passed & first)[row]]
        if isinstance(filter, GapFilter) and filter.top_k:
            expected = expected[: filter.top_k]
            assert set(kept.documents[row][kept.mask[row]]) <= set(expected)
        else:
            assert kept.documents[row][kept.mask[row]].tolist() == expected.tolist()


def test_a_measure_that_looks_below_every_list_says_so():
    def notes(measures, **options):
        all_notes = measured(measures=measures, **options).metrics["notes"]
        return [note for note in all_notes if "longest" in note]

    assert notes(["nDCG@4", "R@100", "P@5"], retriever=BM25(top_k=4)) == [
        "the longest list has 4 documents, so R@100, P@5 look no further than that: what is below was never returned"
    ]
    assert notes(["nDCG@4", "AP"], retriever=BM25(top_k=4)) == []
    assert short_lists(parse_measures(["R@100"]), {"q": {f"d{n}": 1.0 for n in range(10)}}, 10) == []  # all there is
    assert short_lists(parse_measures(["R@100"]), {"q": {}}) == []
