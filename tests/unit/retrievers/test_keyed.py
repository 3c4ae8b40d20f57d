"""Keys mapped to documents, against a search through everything."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import (
    LSA,
    ConfigError,
    Corpus,
    DataError,
    Document,
    FitContext,
    IdentityQuery,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
    SentenceChunker,
    Store,
)
from rag.rerankers import Rerank
from rag.retrievers import BM25, HNSW, Dense, Hybrid, Keyed, MinMax, PseudoQueriesKey, SummaryKey, TextKey, TitleKey
from rag.summarizer import Summary
from rag.summarizers import Extractive, Precomputed, SummaryQuery
from rag.testing import check_candidates
from tests.fakes import CountingScorer, TableEmbedder

N = 30
RNG = np.random.default_rng(3)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS = unit(RNG.normal(size=(400, 8))).astype(np.float32)
"""A text is the number of its row: texts of documents come first, then their keys, then queries."""


def table():
    embedder = TableEmbedder(size=8)
    embedder.rows = VECTORS
    return embedder


def summary_file(tmp_path, keys):
    file = tmp_path / "keys.jsonl"
    file.write_text(
        "\n".join(json.dumps({"_id": f"d{i}", "summary": [str(k) for k in summaries]}) for i, summaries in keys.items())
    )
    return str(file)


def fitted(keyed, n=N, passages=None):
    corpus = Corpus.from_documents(Document(f"d{number}", str(number)) for number in range(n))
    keyed.fit(FitContext(corpus, passages or Passages.whole(corpus)))
    return keyed


def ask(keyed, rows, **arguments):
    return keyed.retrieve(QueryBatch([Query(f"q{row}", str(row)) for row in rows], **arguments))


def summary_key(path, cls=SummaryKey, top_k=100, **arguments):
    return cls(summarizer=Precomputed(path), retriever=Dense(embedder=table(), top_k=top_k), **arguments)


def log_sum_exp(values, t):
    values = np.asarray(values, dtype=np.float64) / t
    return t * (values.max() + np.log(np.exp(values - values.max()).sum()))


def expected_lists(owners, queries, top_k, pool, depth):
    """Documents by all of their keys that are among the best ``depth``."""
    lists = []
    for row in queries:
        scores: dict[int, list[float]] = {}
        every = sorted(((float(VECTORS[row] @ VECTORS[key]), owner) for key, owner in owners), reverse=True)
        for score, owner in every[:depth]:
            scores.setdefault(owner, []).append(score)
        ranked = sorted(
            ((pool(values), owner) for owner, values in scores.items()), key=lambda pair: (-pair[0], pair[1])
        )
        lists.append(ranked[:top_k])
    return lists


def check_against(candidates, expected):
    for positions, scores, wanted in zip(candidates.documents, candidates.scores, expected, strict=True):
        assert [owner for _, owner in wanted] == [p for p in positions.tolist() if p >= 0]
        np.testing.assert_allclose([score for score, _ in wanted], scores[positions >= 0], rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=N), st.integers(1, 12), st.sampled_from(["max", "log_sum_exp"]))
def test_many_keys_of_few_documents_do_not_eat_the_list(tmp_path_factory, counts, top_k, pooling):
    """Over-fetched, mapped, pooled and cut: as a search through all keys."""
    if not sum(counts):
        counts[0] = 1
    keys, owners, row = {}, [], N
    for document, count in enumerate(counts):
        if count:  # the others are keyed by their own text
            keys[document] = list(range(row, row + count))
        owners += [(key, document) for key in keys.get(document, [document])]
        row += count
    owners += [(document, document) for document in range(len(counts), N)]
    path = summary_file(tmp_path_factory.mktemp("keys"), keys)
    key = summary_key(path, top_k=top_k, pooling=pooling, temperature=0.1)
    candidates = ask(fitted(Keyed(keys=[key], top_k=top_k)), range(390, 400))
    check_candidates(
        candidates, Passages.whole(Corpus.from_documents(Document(f"d{i}", "x") for i in range(N))), 10, top_k
    )
    pool = max if pooling == "max" else lambda values: log_sum_exp(values, 0.1)
    per_document = sorted(np.bincount([owner for _, owner in owners]).tolist(), reverse=True)
    depth = None if pooling == "max" else sum(per_document[:top_k])  # as many keys cannot be of fewer documents
    check_against(candidates, expected_lists(owners, range(390, 400), top_k, pool, depth))


@pytest.mark.parametrize("fusion", ["mean", "max", "log_sum_exp"])
def test_kinds_of_keys_are_brought_together(tmp_path, fusion):
    path = summary_file(tmp_path, {number: [100 + number] for number in range(N)})
    text = TextKey(retriever=Dense(embedder=table()), weight=3.0)
    candidates = ask(
        fitted(Keyed(keys=[text, summary_key(path)], fusion=fusion, temperature=0.2, top_k=7)), range(390, 400)
    )
    both = [VECTORS[390:] @ VECTORS[:N].T, VECTORS[390:] @ VECTORS[100 : 100 + N].T]
    scores = {
        "mean": 0.75 * both[0] + 0.25 * both[1],
        "max": np.maximum(*both),
        "log_sum_exp": 0.2 * np.logaddexp(both[0] / 0.2, both[1] / 0.2),
    }[fusion]
    expected = np.argsort(-scores, axis=1)[:, :7]
    assert expected.tolist() == candidates.documents.tolist()
    np.testing.assert_allclose(np.take_along_axis(scores, expected, 1), candidates.scores, rtol=1e-5)


def test_what_a_list_lacks_counts_as_its_last_or_as_nothing(tmp_path):
    path = summary_file(tmp_path, {number: [100 + number] for number in range(N)})
    text = TextKey(retriever=Dense(embedder=table(), top_k=5))  # full lists of 5
    candidates = ask(fitted(Keyed(keys=[text, summary_key(path)])), [390])
    mine, other = VECTORS[390] @ VECTORS[:N].T, VECTORS[390] @ VECTORS[100 : 100 + N].T
    lowest = np.sort(mine)[-5]
    scores = 0.5 * np.maximum(mine, lowest) + 0.5 * other
    assert np.argsort(-scores).tolist() == candidates.documents[0].tolist()
    titled = [Document("a", "cat", {"title": "dog"}), Document("b", "dog"), Document("c", "cat dog", {"title": ""})]
    pipeline = Pipeline(retriever=Keyed(keys=[TextKey(retriever=BM25()), TitleKey(retriever=BM25())])).fit(titled)
    alone = {hit.document.id: hit.score for hit in Pipeline(retriever=BM25()).fit(titled).search("dog")}
    both = {hit.document.id: hit.score for hit in pipeline.search("dog")}
    assert set(both) == {"a", "b", "c"}
    np.testing.assert_allclose([alone["b"] / 2, alone["c"] / 2], [both["b"], both["c"]], rtol=1e-5)


@pytest.mark.parametrize("top_k", [3, 50])
def test_lists_are_as_long_however_keys_are_pooled(tmp_path, top_k):
    """With one key a document, pooling changes nothing, also not what a list lacks."""
    path = summary_file(tmp_path, {number: [100 + number] for number in range(N)})
    tables = []
    for pooling in ("max", "log_sum_exp"):
        keys = [TextKey(retriever=Dense(embedder=table())), summary_key(path, top_k=20, pooling=pooling)]
        tables.append(ask(fitted(Keyed(keys=keys, top_k=top_k)), range(390, 400)))
    assert tables[0].documents.tolist() == tables[1].documents.tolist()
    np.testing.assert_allclose(tables[0].scores, tables[1].scores, rtol=1e-5)


def test_the_key_that_matched_is_explained(tmp_path):
    file = tmp_path / "s.jsonl"
    rows = [{"_id": "a", "summary": ["about cats", "feline matters"]}, {"_id": "b", "summary": "about dogs"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    documents = [Document("a", "It sleeps. It purrs a lot."), Document("b", "It barks. It runs a lot.")]
    keyed = Keyed(
        keys=[TextKey(retriever=BM25()), PseudoQueriesKey(summarizer=Precomputed(str(file)), retriever=BM25())], top_k=5
    )
    pipeline = Pipeline(retriever=keyed, chunker=RecursiveChunker(size=14, unit="characters")).fit(documents)
    for searched_pipeline in (pipeline, saved(pipeline, tmp_path)):
        hits = searched_pipeline.search("feline purrs", explain=True)
        assert [hit.document.id for hit in hits] == ["a"]
        assert hits[0].keys == {"retriever.0 text": "It purrs a lot", "retriever.1 pseudo_queries": "feline matters"}
        assert set(hits[0].explanation) == {"retriever", "retriever.0 text", "retriever.1 pseudo_queries"}
        assert hits[0].passage == "It purrs a lot"  # what was read, not the key
        assert searched_pipeline.search("feline")[0].keys == {}
        assert searched_pipeline.search("feline")[0].passage == "It sleeps."  # found by a key only: its beginning


def saved(pipeline, folder):
    pipeline.save(folder / "index")
    return Pipeline.load(folder / "index")


@pytest.mark.parametrize("pooling", ["max", "log_sum_exp"])
def test_an_index_answers_after_reload_without_its_summarizer(tmp_path, pooling):
    path = summary_file(tmp_path, {number: [100 + number, 200 + number] for number in range(N)})

    def searched(embedder):
        return Hybrid(retrievers=[BM25(stopwords=None), Dense(embedder=embedder, index=HNSW(m=8))], fusion=MinMax())

    documents = [Document(f"d{number}", f"{number} {number * 7 % 30}") for number in range(N)]
    keys = [
        TextKey(retriever=searched(LSA(dim=8)), pooling=pooling),
        SummaryKey(summarizer=Precomputed(path), retriever=searched(LSA(dim=8)), pooling=pooling),
        SummaryKey(summarizer=Extractive(embedder=LSA(dim=8), sentences=1), retriever=BM25(stopwords=None)),
    ]
    pipeline = Pipeline(retriever=Keyed(keys=keys, top_k=5)).fit(documents)
    again = saved(pipeline, tmp_path)
    (tmp_path / "keys.jsonl").unlink()
    queries = [Query(str(number), f"{number} {100 + number}") for number in range(N)]
    expected = [
        [(hit.document.id, hit.score, hit.keys) for hit in result] for result in pipeline.search(queries, explain=True)
    ]
    assert [
        [(hit.document.id, hit.score, hit.keys) for hit in result] for result in again.search(queries, explain=True)
    ] == expected
    assert sum(map(len, expected)) > N


def lsa_keys(path):
    embedder = LSA(dim=8)  # one object: each key learns with its own
    return [
        TextKey(retriever=Dense(embedder=embedder)),
        SummaryKey(summarizer=Precomputed(path), retriever=Dense(embedder=embedder)),
    ]


def scores(pipeline, question):
    return {hit.document.id: pytest.approx(hit.score, abs=1e-6) for hit in pipeline.search(question)}


def test_an_embedder_that_learns_from_texts_learns_from_those_it_embeds(tmp_path):
    path = summary_file(tmp_path, {number: [f"key{number} shared"] for number in range(N)})
    documents = [Document(f"d{number}", f"{number} text{number} shared") for number in range(N)]
    pipeline = Pipeline(retriever=Keyed(keys=lsa_keys(path), top_k=N)).fit(documents, store=tmp_path / "store")
    of_text, of_keys = (key.retriever.embedder for key in pipeline.retriever.keys)
    assert "key3" in of_keys._vectorizer.vocabulary_
    assert "key3" not in of_text._vectorizer.vocabulary_
    stored = Pipeline(retriever=Keyed(keys=lsa_keys(path), top_k=N)).fit(documents, store=tmp_path / "store")
    for again in (saved(pipeline, tmp_path), stored):
        for question in ("text3 shared", "key3 shared", "key4"):
            assert scores(again, question) == scores(pipeline, question)
    # Each space has its own vectors of the question: alone, a key scores as in company.
    alone = Pipeline(retriever=Keyed(keys=[lsa_keys(path)[1]], top_k=N)).fit(documents)
    hits = {hit.document.id: hit for hit in pipeline.search("key3 shared text3", explain=True)}
    for hit in alone.search("key3 shared text3", explain=True):
        expected = pytest.approx(hit.explanation["retriever.0 summary"], abs=1e-6)
        assert hits[hit.document.id].explanation["retriever.1 summary"] == expected


def test_what_was_learned_from_keys_stays_when_documents_come(tmp_path):
    path = summary_file(tmp_path, {number: [f"key{number} shared"] for number in range(N + 1)})
    documents = [Document(f"d{number}", f"text{number}") for number in range(N)]
    pipeline = Pipeline(retriever=Keyed(keys=[lsa_keys(path)[1]], top_k=N)).fit(documents)
    components = pipeline.retriever.keys[0].retriever.embedder._components
    pipeline.add([Document(f"d{N}", "one more")])
    embedder = pipeline.retriever.keys[0].retriever.embedder
    np.testing.assert_array_equal(embedder._components, components)
    assert embedder._stale() == f"fitted on {N} passages; of the {N + 1} that the index now has, 1 came later"
    pipeline.delete([f"d{number}" for number in range(5)])
    assert pipeline.search("key7 shared")[0].document.id == "d7"
    np.testing.assert_array_equal(pipeline.retriever.keys[0].retriever.embedder._components, components)


def test_conversations_are_keyed_and_asked_by_their_last_turn():
    spoken = {
        "turns": [
            {"speaker": "user", "text": "a cat"},
            {"speaker": "agent", "text": "no"},
            {"speaker": "user", "text": "a dog"},
        ]
    }
    documents = [Document("talk", "a cat a dog", spoken), Document("other", "no cat here")]
    for history, expected in (("last_turn", ["talk"]), ("concatenate", ["talk", "other"])):
        key = TextKey(retriever=BM25(), history="last_turn", query=IdentityQuery(history=history))
        pipeline = Pipeline(retriever=Keyed(keys=[key])).fit(documents)
        query = Query("q", turns=[("user", "some cat"), ("agent", "which?"), ("user", "the dog")])
        assert [hit.document.id for hit in pipeline.search(query)] == expected


@pytest.mark.parametrize("pooling", ["max", "log_sum_exp"])
def test_filters_hold_among_keys(tmp_path, pooling):
    path = summary_file(tmp_path, {number: [100 + number, 200 + number] for number in range(N)})
    keys = [TextKey(retriever=Dense(embedder=table()), pooling=pooling), summary_key(path, pooling=pooling)]
    pipeline = Pipeline(retriever=Keyed(keys=keys, top_k=N)).fit(
        [Document(f"d{number}", str(number), {"year": 1990 + number % 7}) for number in range(N)]
    )
    queries = [
        Query(str(row), str(row), filter={"year": 1990 + row % 7} if row % 3 else None) for row in range(380, 400)
    ]
    for query, result in zip(queries, pipeline.search(queries), strict=True):
        year = query.filter and query.filter["year"]
        everything = pipeline.search(query.text)
        wanted = [hit for hit in everything if year is None or hit.document.metadata["year"] == year]
        assert len(wanted) > 3
        assert [hit.document.id for hit in wanted] == [hit.document.id for hit in result]
        np.testing.assert_allclose([hit.score for hit in wanted], [hit.score for hit in result], rtol=1e-5)


def test_lists_in_the_store_are_not_those_of_summaries_that_failed(tmp_path):
    store = Store(tmp_path / "store")
    documents = [Document("a", "long text"), Document("b", "other text")]
    queries = [Query("q", "short")]

    def kept_and_listed(file):
        keyed = Keyed(keys=[SummaryKey(summarizer=Precomputed(str(file)), retriever=BM25())])
        pipeline = Pipeline(retriever=keyed).fit(documents, store=store)
        candidates = pipeline.run(QueryBatch(queries, store=store))
        return keyed.keys[0]._keeps_lists, candidates.documents.tolist()

    file = tmp_path / "s.jsonl"
    file.write_text('{"_id": "a", "summary": "short"}')
    assert kept_and_listed(file) == (False, [[0]])
    file.write_text('{"_id": "a", "summary": "short"}\n{"_id": "b", "summary": "short too"}')
    assert kept_and_listed(file) == (True, [[0, 1]])
    assert kept_and_listed(file) == (True, [[0, 1]])


def test_what_later_steps_make_of_failed_summaries_is_not_kept_either(tmp_path):
    store = Store(tmp_path / "store")
    file = tmp_path / "s.jsonl"
    documents = [Document("a", "long text"), Document("b", "other text")]

    class Fleeting(Precomputed):  # as a chat model, whose answers no fingerprint tells
        def _model_digest(self):
            return None

    def listed():
        keyed = Keyed(keys=[SummaryKey(summarizer=Fleeting(str(file)), retriever=BM25())])
        pipeline = Pipeline(retriever=keyed, stages=[Rerank(scorer=CountingScorer())]).fit(documents, store=store)
        return sorted(pipeline.run(QueryBatch([Query("q", "short")], store=store)).documents[0].tolist())

    file.write_text('{"_id": "a", "summary": "short"}')
    assert listed() == [0]
    file.write_text('{"_id": "a", "summary": "short"}\n{"_id": "b", "summary": "short too"}')
    assert listed() == [0, 1]


def test_lists_of_queries_whose_summaries_failed_are_not_kept(tmp_path):
    store = Store(tmp_path / "store")
    summaries = {}

    class Sometimes(Extractive):  # writes what it has, when it has it
        def write(self, sources):
            for number, source in enumerate(sources):
                text = summaries.get(source.text)
                yield number, Summary((text,), "") if text else Summary((), "no answer in time")

    key = TextKey(retriever=BM25(), query=SummaryQuery(summarizer=Sometimes(embedder=table())))
    pipeline = Pipeline(retriever=Keyed(keys=[key]), stages=[Rerank(scorer=CountingScorer())])
    pipeline.fit([Document("a", "cat"), Document("b", "dog")], store=store)

    def listed():
        candidates = pipeline.run(QueryBatch([Query("q", "cat"), Query("r", "mouse")], store=store))
        return [row[row >= 0].tolist() for row in candidates.documents]

    assert listed() == [[0], []]
    summaries |= {"cat": "dog"}
    assert listed() == [[1], []]
    summaries |= {"mouse": "cat", "cat": "forgotten"}
    assert listed() == [[1], [0]]
    summaries.clear()
    assert listed() == [[1], [0]]  # now kept


def test_nothing_is_written_about_deleted_documents():
    asked = []

    class Asked(Extractive):
        def write(self, sources):
            for number, source in enumerate(sources):
                asked.append(source.text)
                yield number, Summary((source.text,), "")

    key = SummaryKey(summarizer=Asked(embedder=table()), retriever=BM25())
    pipeline = Pipeline(retriever=Keyed(keys=[key])).fit([Document(name, f"cat {name}") for name in "abcd"])
    pipeline.delete(["a"], compact_at=1.0)
    asked.clear()
    pipeline.add([Document("b", "dog")], compact_at=1.0)
    assert asked == ["cat c", "cat d", "dog"]
    assert [hit.document.id for hit in pipeline.search("dog")] == ["b"]
    assert {hit.document.id for hit in pipeline.search("cat a")} == {"c", "d"}


def test_lists_by_title_are_of_the_titles_they_were_made_with(tmp_path):
    store = Store(tmp_path / "store")
    for titles in ("cat", "dog"), ("dog", "cat"):
        documents = [Document(str(n), "text", {"title": title}) for n, title in enumerate(titles)]
        pipeline = Pipeline(
            retriever=Keyed(keys=[TitleKey(retriever=BM25())]), stages=[Rerank(scorer=CountingScorer())]
        )
        pipeline.fit(documents, store=store)
        candidates = pipeline.run(QueryBatch([Query("q", "cat")], store=store))
        assert candidates.documents.tolist() == [[titles.index("cat")]]


def test_no_document_with_such_a_key():
    with pytest.raises(DataError, match=re.escape("the key 'title' has no text in any document of the corpus")):
        Pipeline(retriever=Keyed(keys=[TitleKey(retriever=BM25())])).fit([Document("a", "x")])


def test_arguments_that_are_no_good():
    for make, message in (
        (lambda: Keyed(keys=[]), "keys"),
        (lambda: TextKey(retriever=BM25(), weight=0.0), "weight"),
        (lambda: TextKey(retriever=BM25(), pooling="mean"), "pooling"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_a_key_of_texts_of_any_name_gives_the_passage_shown():
    class Sentences(TextKey):
        """Texts under another name."""

        type = "fake_sentences"

    # The title says it more strongly, and would speak by the document's first passage.
    document = Document("a", "cat dog. bird", {"title": "bird"})
    others = [Document(str(number), "bird", {"title": "fish"}) for number in range(5)]
    keys = [TitleKey(retriever=BM25()), Sentences(retriever=BM25())]
    pipeline = Pipeline(chunker=SentenceChunker(size=8, unit="characters"), retriever=Keyed(keys=keys))
    assert {hit.document.id: hit.passage for hit in pipeline.fit([document, *others]).search("bird")}["a"] == "bird"
    Sentences.is_read = False
    assert pipeline.search("bird")[0].passage == "cat dog."


def test_keys_that_were_given_the_same_retriever_are_refused():
    shared = BM25()
    with pytest.raises(ConfigError, match="keys: must have a retriever each: 0 and 1 were given the same object"):
        Keyed(keys=[TitleKey(retriever=shared), TextKey(retriever=Hybrid(retrievers=[shared, BM25()]))])
