"""Pipelines run by ``mteb`` itself, on tasks made here: the same numbers as ours."""

from __future__ import annotations

import math
import sys

import pytest

from rag import Pipeline, Query
from rag.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.eval.integrations.mteb import PipelineSearch, mteb_task

BM25 = {"type": "pipeline", "retriever": {"type": "bm25", "top_k": 50}}


@pytest.fixture(scope="module")
def mteb():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        return pytest.importorskip("mteb")


def table(**columns):
    from datasets import Dataset as Table

    return Table.from_dict(columns)


@pytest.mark.filterwarnings("ignore")  # mteb's own
def test_mteb_and_we_say_the_same(mteb) -> None:
    dataset = load_dataset("python-reference")
    ours = evaluate(Pipeline.from_config(BM25), dataset, split="dev", measures=["nDCG@10", "R@20", "P@5"], timed=False)
    search = PipelineSearch(Pipeline.from_config(BM25))
    result = mteb.evaluate(search, mteb_task(dataset, split="dev"), cache=None, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["dev"]
    for measure, key in {"nDCG@10": "ndcg_at_10", "R@20": "recall_at_20", "P@5": "precision_at_5"}.items():
        assert math.isclose(ours.mean(measure), scores[key], abs_tol=5e-6)  # mteb rounds to five digits
    assert result.task_results[0].task_name == "python-reference-dev"


@pytest.mark.filterwarnings("ignore")
def test_a_document_with_the_querys_id_may_be_ignored(mteb) -> None:
    corpus = load_dataset("python-reference").corpus
    (name,) = corpus.ids()[:1]
    query = Query(name, corpus[0].text)
    # The second query, judged as TREC judges spam, kills trec_eval when it gets there as it is.
    queries, qrels = [query, Query("none", "yield")], {name: {name: 2, corpus.ids()[1]: 2}, "none": {name: -2}}
    dataset = Dataset("own", corpus, {"test": Split(queries, qrels)})
    for ignored in (False, True):
        task = mteb_task(dataset, ignore_identical_ids=ignored)
        result = mteb.evaluate(PipelineSearch(Pipeline.from_config(BM25)), task, cache=None, show_progress_bar=False)
        (scores,) = result.task_results[0].scores["test"]
        ours = evaluate(
            Pipeline.from_config(BM25), dataset, measures=["P@1"], timed=False, ignore_identical_ids=ignored
        )
        assert ours.mean("P@1") == scores["precision_at_1"]
        assert (not ignored) == bool(ours.mean("P@1"))


def test_what_mteb_hands_over(mteb) -> None:
    from mteb.models import SearchProtocol

    search = PipelineSearch(Pipeline.from_config(BM25), name="me/words")
    assert isinstance(search, SearchProtocol)
    assert search.mteb_model_meta.name == "me/words"
    other = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25", "k1": 2.0}})
    assert PipelineSearch(other, name="me/words").mteb_model_meta.revision != search.mteb_model_meta.revision
    with pytest.raises(NotFittedError, match="index a corpus"):
        search.search(table(id=["q"], text=["apple"]), top_k=3)
    corpus = table(id=["a", "b", "c"], title=["Apples", "", "Cherries"], text=["red fruit", "apple pear", ""])
    search.index(corpus, task_metadata=None, hf_split="test", hf_subset="default", encode_kwargs={}, num_proc=None)
    assert search.pipeline.corpus.texts() == ["Apples\nred fruit", "apple pear", "Cherries"]
    fitted = search.pipeline.passages
    search.index(corpus)
    assert fitted is search.pipeline.passages  # the same corpus again
    results = search.search(
        table(id=["q", "r"], text=["apple", "nothing here"]), top_k=1, hf_split="test", num_proc=None
    )
    assert (1, 0) == (len(results["q"]), len(results["r"]))
    assert {"a", "b"} >= set(results["q"])
    only = search.search(table(id=["q", "r"], text=["apple", "cherries"]), top_k=9, top_ranked={"q": ["b", "c"]})
    assert {id: list(scores) for id, scores in only.items()} == {"q": ["b"], "r": []}


def test_instructions_and_conversations() -> None:
    search = PipelineSearch(Pipeline.from_config(BM25))
    search.index(table(id=["a", "b"], text=["apple tart", "pear cake"]))
    results = search.search(table(id=["q"], text=["sweets"], instruction=["of pears"]), top_k=5)
    assert list(results["q"]) == ["b"]
    spoken = [[{"role": "user", "content": "a pear"}, {"role": "assistant", "content": "yes?"}]]
    assert list(search.search(table(id=["q"], text=spoken), top_k=5)["q"]) == ["b"]
    assert list(search.search(table(id=["q"], text=[["hello", "an apple"]]), top_k=5)["q"]) == ["a"]


def test_without_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match=r"needs the package 'mteb', which is not installed.*\[mteb\]"):
        _ = PipelineSearch(Pipeline.from_config(BM25)).mteb_model_meta
    with pytest.raises(MissingExtraError, match=r"rag-pipelines\[mteb\]"):
        mteb_task(load_dataset("python-reference"))


def test_what_is_no_text_is_refused() -> None:
    search = PipelineSearch(Pipeline.from_config(BM25))
    with pytest.raises(DataError, match="this corpus has only id, image"):
        search.index(table(id=["a"], image=["x"]))
    search.index(table(id=["a", "b"], text=["apple tart", "pear cake"]))
    with pytest.raises(DataError, match="query 'q' has none"):
        search.search(table(id=["q"], image=["x"]), top_k=5)
    with pytest.raises(ConfigError, match="name: must be owner/model, got 'words'"):
        PipelineSearch(Pipeline.from_config(BM25), name="words")
