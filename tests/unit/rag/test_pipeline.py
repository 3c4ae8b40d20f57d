"""The pipeline: fitted, asked, explained, kept."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest

from rag import (
    LSA,
    ArtifactError,
    Candidates,
    ConfigError,
    Corpus,
    DataError,
    Document,
    LangChainEmbedder,
    ModelError,
    NotFittedError,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
    SentenceChunker,
    Threshold,
    Training,
)
from rag.component import Component
from rag.rerankers import Rerank
from rag.retrievers import BM25, HNSW, Dense, Hybrid, MinMax
from tests.fakes import CountingScorer, WordEmbedder

DOCUMENTS = [
    Document("cats", "Cats purr. Cats sleep all day on the warm stove.", {"title": "Cats"}),
    Document("dogs", "Dogs bark. Dogs chase cats and the postman."),
    Document("empty", ""),
    Document("fish", "Fish swim. They sleep with open eyes. Nobody has heard a fish purr or bark."),
    Document("żółw", "Żółw śpi całą zimę. A tortoise sleeps all winter."),
]
QUESTIONS = ["cats sleep", "who barks at the postman", "żółw", "zzzz"]


def pipelines():
    bm25 = BM25(top_k=3)
    dense = Dense(embedder=LSA(dim=4, stop_words=False), index=HNSW(m=4), top_k=4)
    sentences = SentenceChunker(size=30, unit="characters")
    fused = Hybrid(retrievers=[bm25, dense], fusion=MinMax())
    return [
        Pipeline(retriever=bm25),
        Pipeline(retriever=dense, chunker=RecursiveChunker(size=25, overlap=5, unit="characters")),
        Pipeline(retriever=fused, chunker=sentences, stages=[Threshold(min_relative=0.1), Threshold(top_k=2)]),
    ]


def seen(results):
    """Everything about results but their costs."""
    return [(result.query, result.hits) for result in results]


# -- asking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", pipelines(), ids=lambda pipeline: pipeline.retriever.type)
def test_saved_and_loaded_it_answers_the_same(pipeline, tmp_path):
    pipeline.fit(DOCUMENTS).save(tmp_path / "p")
    for verify in (False, True):
        again = Pipeline.load(tmp_path / "p", verify=verify)
        assert pipeline.fingerprint == again.fingerprint
        assert DOCUMENTS == list(again.corpus)
        assert seen(pipeline.search(QUESTIONS, explain=True)) == seen(again.search(QUESTIONS, explain=True))
    again.save(tmp_path / "p")  # over what it is mapped from
    assert seen(pipeline.search(QUESTIONS)) == seen(again.search(QUESTIONS))
    assert seen(pipeline.search(QUESTIONS)) == seen(Pipeline.load(tmp_path / "p", verify=True).search(QUESTIONS))


@pytest.mark.parametrize("pipeline", pipelines(), ids=lambda pipeline: pipeline.retriever.type)
def test_one_by_one_is_the_same_as_all_at_once(pipeline):
    pipeline.fit(DOCUMENTS)
    together = pipeline.search(QUESTIONS)
    for question, expected in zip(QUESTIONS, together, strict=True):
        actual = pipeline.search(question)
        assert [hit.document for hit in expected] == [hit.document for hit in actual]
        np.testing.assert_allclose([hit.score for hit in expected], [hit.score for hit in actual], atol=1e-5)
        assert [hit.passage for hit in expected] == [hit.passage for hit in actual]


@pytest.mark.parametrize("pipeline", pipelines(), ids=lambda pipeline: pipeline.retriever.type)
def test_hits_are_the_columns_as_objects(pipeline):
    pipeline.fit(DOCUMENTS)
    table = pipeline.run(QueryBatch([Query(str(n), text) for n, text in enumerate(QUESTIONS)]))
    for row, result in enumerate(pipeline.search(QUESTIONS)):
        count = int(table.counts[row])
        assert (count, str(row), QUESTIONS[row]) == (len(result), result.query.id, result.query.text)
        for column, hit in enumerate(result):
            assert DOCUMENTS[table.documents[row, column]] == hit.document
            assert float(table.scores[row, column]) == hit.score
            assert hit.document.text[hit.start : hit.end] == hit.passage
            assert pipeline.passages.texts([table.passages[row, column]]) == [hit.passage]


def test_a_result_is_a_sequence():
    result = Pipeline(retriever=BM25()).fit(DOCUMENTS).search("cats sleep")
    assert list(result) == [result[number] for number in range(len(result))]
    assert result.hits[:1] == result[:1]
    assert result[0] in result


def test_queries_keep_their_own_ids_and_metadata():
    queries = [Query("q7", "cats", {"a": 1}), "dogs"]
    first, second = Pipeline(retriever=BM25()).fit(DOCUMENTS).search(queries)
    assert (queries[0], Query("1", "dogs")) == (first.query, second.query)


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (100, 3), (None, 3)])
def test_top_k_cuts_what_the_last_stage_left(top_k, expected):
    pipeline = Pipeline(retriever=BM25(top_k=3)).fit(DOCUMENTS)
    whole = pipeline.search("cats fish dogs sleep")
    assert whole.hits[:expected] == pipeline.search("cats fish dogs sleep", top_k=top_k).hits


def test_no_queries_no_answers():
    assert Pipeline(retriever=BM25()).fit(DOCUMENTS).search([]) == []


def test_the_best_chunk_speaks_for_its_document():
    pipeline = Pipeline(retriever=BM25(), chunker=SentenceChunker(size=20, unit="characters")).fit(DOCUMENTS)
    [first, *others] = pipeline.search("sleep open eyes").hits
    assert (first.document.id, first.passage) == ("fish", "They sleep with open")
    assert (first.start, first.end) == (11, 31)
    assert len({hit.document.id for hit in (first, *others)}) == len(others) + 1


def test_chunk_metadata_comes_with_the_hit(tmp_path):
    from rag import MarkdownChunker

    pipeline = Pipeline(retriever=BM25(), chunker=MarkdownChunker(size=20, unit="characters"))
    pipeline.fit([Document("m", "# Ä\n\nabout cats\n\n# B\n\nabout dogs")]).save(tmp_path / "p")
    for searched in (pipeline, Pipeline.load(tmp_path / "p")):
        assert searched.search("dogs")[0].passage_metadata == {"headings": ["B"]}


# -- explanations and costs ---------------------------------------------------------------------------------------


def test_every_hit_is_explained_by_stage():
    pipeline = Pipeline(
        retriever=Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())], fusion=MinMax(), top_k=4),
        stages=[Rerank(scorer=CountingScorer(), budget=3), Threshold(top_k=2)],
    ).fit(DOCUMENTS)
    batch = QueryBatch([Query("0", QUESTIONS[0]), Query("1", QUESTIONS[1])], trace={})
    final = pipeline.run(batch)
    names = ["retriever.0 bm25", "retriever.1 dense", "retriever", "stages.0 rerank", "stages.1 threshold"]
    assert names == list(batch.trace)
    for row, result in enumerate(pipeline.search(QUESTIONS[:2], explain=True)):
        assert len(result) == final.counts[row]
        for hit in result:
            position = pipeline.corpus.position(hit.document.id)
            expected = {}
            for name, table in batch.trace.items():
                scores = dict(zip(table.documents[row].tolist(), table.scores[row].tolist(), strict=True))
                if position in scores:
                    expected[name] = scores[position]
            assert hit.explanation == expected
            assert hit.score == hit.explanation["stages.1 threshold"]
    assert pipeline.search(QUESTIONS[0])[0].explanation == {}


def test_costs_are_booked_where_they_arise():
    pipeline = Pipeline(
        retriever=Dense(embedder=WordEmbedder()), stages=[Rerank(scorer=CountingScorer(), budget=3), Threshold()]
    ).fit(DOCUMENTS)
    assert pipeline.fit_costs.total.texts_embedded == 5
    assert pipeline.fit_costs.stages["retriever"].texts_embedded == 5
    batch = QueryBatch([Query("0", "cats"), Query("1", "dogs")])
    pipeline.run(batch)
    stages = batch.ledger.stages
    assert list(stages) == ["retriever", "stages.0 rerank", "stages.1 threshold"]
    assert (2, 0) == (stages["retriever"].texts_embedded, stages["retriever"].scorer_calls)
    assert (0, 6) == (stages["stages.0 rerank"].texts_embedded, stages["stages.0 rerank"].scorer_calls)
    assert all(costs.seconds > 0 for costs in stages.values())
    assert pipeline.search("cats").costs.scorer_calls == 3


def test_each_result_has_its_share_of_the_costs_of_the_batch():
    stages = [Rerank(scorer=CountingScorer(), budget=3)]
    pipeline = Pipeline(retriever=Dense(embedder=WordEmbedder()), stages=stages)
    batch = QueryBatch([Query("0", "cats"), Query("1", "dogs")])
    pipeline.fit(DOCUMENTS).run(batch)
    batch.ledger.spend(llm_calls=3)
    first, second = (result.costs for result in pipeline.results(batch, Candidates.empty(2)))
    assert (first.texts_embedded, first.scorer_calls, first.llm_calls) == (1, 3, 2)
    assert (second.texts_embedded, second.scorer_calls, second.llm_calls) == (1, 3, 1)
    assert first.seconds + second.seconds == pytest.approx(batch.ledger.total.seconds)
    assert first is not second


def test_progress_is_shown_for_long_work():
    shown = {}

    class Bar:
        def __init__(self, title, total):
            self.title = title
            shown[title] = [total, 0]

        def __enter__(self):
            def advance(done):
                shown[self.title][1] += done

            return advance

        def __exit__(self, *error):
            return None

    chunked = RecursiveChunker(size=20, unit="characters")
    retriever = Hybrid(retrievers=[BM25(), Dense(embedder=LSA(dim=2))])
    pipeline = Pipeline(retriever=retriever, chunker=chunked).fit(DOCUMENTS, progress=Bar)
    n = len(pipeline.passages)
    assert {
        title: [n, n] for title in ("indexing words (bm25)", "embedding passages (lsa)", "building the index (flat)")
    } == shown


# -- what is wrong ------------------------------------------------------------------------------------------------


def test_before_it_is_fitted(tmp_path):
    pipeline = Pipeline(retriever=BM25())
    for action in (lambda: pipeline.search("x"), lambda: pipeline.search([]), lambda: pipeline.corpus):
        with pytest.raises(NotFittedError, match=r"has not been fitted: call fit\(corpus\) or load\(folder\) first"):
            action()
    with pytest.raises(NotFittedError):
        pipeline.save(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "query '0' has no text"),
        (" \n", "query '0' has no text"),
        (["cats", "", "dogs"], "query '1' has no text"),
        (Query("q1", "\t"), "query 'q1' has no text"),
        (Query("q1", None), "query 'q1' has no text"),
        (["cats", 5], "a query is a text or a rag.Query, got int"),
        ([["cats"]], "a query is a text or a rag.Query, got list"),
        (None, "a query is a text or a rag.Query, got NoneType"),
        (5, "a query is a text or a rag.Query, got int"),
    ],
)
def test_what_is_no_query_is_refused(query, expected):
    with pytest.raises(DataError) as caught:
        Pipeline(retriever=BM25()).fit(DOCUMENTS).search(query)
    assert str(caught.value) == expected


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_is_at_least_one(top_k):
    with pytest.raises(ConfigError, match="must be a whole number of at least 1"):
        Pipeline(retriever=BM25()).fit(DOCUMENTS).search("cats", top_k=top_k)


def test_a_chunker_of_tokens_needs_an_embedder_that_has_some():
    expected = "chunker: chunker 'recursive' counts in tokens, but no embedder of this pipeline has any: "
    expected += "set its unit to characters"
    for retriever in (BM25(), Dense(embedder=LSA())):
        with pytest.raises(ConfigError) as caught:
            Pipeline(retriever=retriever, chunker=RecursiveChunker())
        assert str(caught.value) == expected


class Learner(Threshold):
    """Needs judged queries.

    Args:
        min_score: As always.
    """

    type = "fake_learner"
    needs = frozenset({"training"})


def test_training_data_are_asked_for_before_any_work():
    read = []

    def documents():
        read.append(1)
        yield from DOCUMENTS

    pipeline = Pipeline(retriever=BM25(), stages=[Threshold(), Learner()])
    with pytest.raises(ConfigError) as caught:
        pipeline.fit(documents())
    expected = "stages.1 ('fake_learner') learns from judged training queries: none were given (rag eval has"
    assert str(caught.value).startswith(expected)
    assert read == []
    pipeline.fit(documents(), training=Training([Query("1", "cats")], {"1": {"cats": 1}}))
    assert pipeline.search("cats sleep")[0].document.id == "cats"


def test_after_a_fit_that_failed_it_is_not_fitted():
    class Sick(WordEmbedder):
        type = "sick"

        def embed_queries(self, texts):
            return super().embed_queries(texts) * (np.nan if "poison" in texts else 1)

    pipeline = Pipeline(retriever=Hybrid(retrievers=[BM25(), Dense(embedder=Sick())])).fit(DOCUMENTS)
    before = seen(pipeline.search(QUESTIONS))
    with pytest.raises(DataError):
        pipeline.fit([])
    assert before == seen(pipeline.search(QUESTIONS))  # nothing was touched
    with pytest.raises(ModelError):
        pipeline.fit([Document("x", "poison"), Document("y", "cats")])
    with pytest.raises(NotFittedError):
        pipeline.search("cats")
    assert before == seen(pipeline.fit(DOCUMENTS).search(QUESTIONS))


def test_fitted_again_it_answers_from_the_new_documents():
    for pipeline in pipelines():
        pipeline.fit(DOCUMENTS[:2])
        expected = pipeline.spec.clone().fit(DOCUMENTS).search(QUESTIONS)
        assert seen(expected) == seen(pipeline.fit(DOCUMENTS).search(QUESTIONS))


# -- keeping ------------------------------------------------------------------------------------------------------


def test_what_holds_a_python_object_cannot_be_kept_and_nothing_is_written(tmp_path):
    class Embeddings:
        def embed_query(self, text):
            return [float(len(text)), 1.0]

        def embed_documents(self, texts):
            return [self.embed_query(text) for text in texts]

    pipeline = Pipeline(retriever=Dense(embedder=LangChainEmbedder(Embeddings(), name="n"))).fit(DOCUMENTS)
    assert len(pipeline.search("cats")) == 4  # of five documents, of which one has no text
    with pytest.raises(ConfigError) as caught:
        pipeline.save(tmp_path / "p")
    assert str(caught.value) == "'langchain'.embeddings is a Python object (Embeddings): a YAML file cannot name it"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other files than a pipeline"):
        Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_every_damaged_or_missing_file_is_told(tmp_path):
    pipeline = pipelines()[2].fit(DOCUMENTS)
    pipeline.save(tmp_path)
    [data] = tmp_path.glob("data-*")
    files = [path for path in data.rglob("*") if path.is_file()]
    assert len(files) >= 10
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"x")
        with pytest.raises(ArtifactError, match=f"damaged: {path.relative_to(data)} has"):
            Pipeline.load(tmp_path)
        path.write_bytes(bytes([content[0] ^ 255]) + content[1:])
        with pytest.raises(ArtifactError, match=f"damaged: the checksum of {path.relative_to(data)} is wrong"):
            Pipeline.load(tmp_path, verify=True)
        path.unlink()
        with pytest.raises(ArtifactError, match=f"damaged: {path.relative_to(data)} is missing"):
            Pipeline.load(tmp_path)
        path.write_bytes(content)
    assert seen(pipeline.search(QUESTIONS)) == seen(Pipeline.load(tmp_path).search(QUESTIONS))


@pytest.mark.parametrize(
    "name", ["corpus.arrow", "passages.npy", "passages.json", "index.faiss", "idf.npy", "vocabulary.json"]
)
def test_files_of_the_right_size_but_full_of_nonsense_are_no_crash(tmp_path, name):
    Pipeline(retriever=Dense(embedder=LSA(dim=2), index=HNSW())).fit(DOCUMENTS).save(tmp_path)
    [path] = tmp_path.rglob(name)
    path.write_bytes(b"\x07" * path.stat().st_size)
    with pytest.raises(ArtifactError):
        Pipeline.load(tmp_path)


def test_a_saved_pipeline_of_a_missing_plug_in_says_which(tmp_path):
    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path)
    [path] = tmp_path.rglob("pipeline.yaml")
    text = path.read_text().replace("bm25", "bm99", 1)
    path.write_text(text)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["pipeline.yaml"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"pipeline.yaml:\d+:\d+: retriever: unknown retriever 'bm99' .valid: bm25, "):
        Pipeline.load(tmp_path)


def test_texts_that_look_like_variables_survive(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "elsewhere")
    pattern = r"[\w$]+|\$\{HOME\}|${HOME}|$$"
    Pipeline(retriever=BM25(token_pattern=pattern)).fit([Document("a", "cost $$5 x")]).save(tmp_path)
    assert pattern == Pipeline.load(tmp_path).retriever.token_pattern


def test_a_pipeline_is_a_component_of_components():
    pipeline = pipelines()[2]
    assert isinstance(pipeline, Component)
    assert [path for path, _ in pipeline.spec.walk()][:5] == [
        "",
        "retriever",
        "retriever.retrievers.0",
        "retriever.retrievers.1",
        "retriever.retrievers.1.embedder",
    ]


def test_a_corpus_object_is_taken_as_it_is():
    corpus = Corpus.from_documents(DOCUMENTS)
    assert corpus is Pipeline(retriever=BM25()).fit(corpus).corpus


def test_documents_are_read_when_hits_are_looked_at(monkeypatch):
    pipeline = Pipeline(retriever=BM25(), chunker=SentenceChunker(size=30, unit="characters")).fit(DOCUMENTS)
    reads = []
    original = Corpus.documents
    monkeypatch.setattr(
        Corpus, "documents", lambda self, positions: reads.append(len(positions)) or original(self, positions)
    )
    first, second = pipeline.search(["cats sleep", "dogs bark"], top_k=2)
    assert (len(first), len(second), reads) == (2, 2, [])
    assert [hit.document.id for hit in second] == ["dogs", "fish"]
    assert second[0].passage == "Dogs bark."
    assert reads == [2]
    hits = tuple(first)
    assert (first.hits, repr(first.hits), pickle.loads(pickle.dumps(first.hits))) == (hits, "2 hits", hits)
    assert reads == [2, 2]
