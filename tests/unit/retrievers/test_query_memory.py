"""The memory of judged questions against plain loops, with filters, deletions and judgments that come later."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from rag import (
    ArtifactError,
    Candidates,
    ConfigError,
    Corpus,
    DataError,
    Document,
    FitContext,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    Training,
)
from rag.learning.unseen import Unseen
from rag.retrievers import BM25, Dense, Hybrid, QueryMemory
from rag.retrievers.centroids import centroid_cosines
from rag.retrievers.judged import Judged, lookup
from tests.fakes import WordEmbedder

TEXTS = ["cat sleeps", "dog barks", "fish swims", "cat and dog", "bird sings", "horse runs"]
QUESTIONS = [
    ("t0", "warm cat", {"0": 2, "3": 1}),
    ("t1", "cat at home", {"0": 1}),
    ("t2", "loud dog", {"1": 2, "3": 2}),
    ("t3", "fish in water", {"2": 1, "gone": 2}),
    ("t4", "nothing right", {"5": 0}),
]


def training(rows=QUESTIONS):
    return Training([Query(id, text) for id, text, _ in rows], {id: judged for id, _, judged in rows})


def corpus():
    return Corpus.from_documents(Document(str(i), text, {"even": i % 2 == 0}) for i, text in enumerate(TEXTS))


def fitted(memory, documents=None):
    documents = documents or corpus()
    FitContext(documents, Passages.whole(documents), training()).fit(memory)
    return memory


def gains():
    """Plain: grade / 2 by (question, document)."""
    judged = [
        (row, int(id), grade / 2)
        for row, (_, _, j) in enumerate(QUESTIONS)
        for id, grade in j.items()
        if grade > 0 and id != "gone"
    ]
    table = np.zeros((4, len(TEXTS)))
    for row, document, gain in judged:
        table[row, document] = gain
    return table


def cosines(texts):
    embedder = WordEmbedder()
    return embedder.embed_queries(texts) @ embedder.embed_queries([text for _, text, _ in QUESTIONS[:4]]).T


def as_dict(table, row):
    valid = table.documents[row] >= 0
    return dict(zip(table.documents[row][valid].tolist(), table.scores[row][valid].tolist(), strict=True))


@pytest.mark.parametrize(("k", "power"), [(2, 1.0), (3, 4.0), (50, 8.0)])
def test_like_is_that_of_a_plain_loop(k, power):
    memory = fitted(QueryMemory(embedder=WordEmbedder(), neighbours=k, power=power))
    texts = ["warm dog", "fish", "cat"]
    candidates = memory.retrieve(QueryBatch([Query(str(n), text) for n, text in enumerate(texts)]))
    for row, similar in enumerate(cosines(texts)):
        near = sorted(range(4), key=lambda j: -similar[j])[:k]
        expected = {
            d: s
            for d in range(len(TEXTS))
            if (s := sum(max(similar[j], 0) ** power * gains()[j, d] for j in near)) > 1e-12
        }
        assert expected == pytest.approx(as_dict(candidates, row), rel=1e-4)


def test_cover_is_that_of_a_plain_loop():
    memory = fitted(QueryMemory(embedder=WordEmbedder(), score="cover", retriever=BM25()))
    batch = QueryBatch([Query("q", "cat sleeps")])
    candidates = memory.retrieve(batch)
    first = as_dict(fitted(BM25()).retrieve(batch), 0)
    low, high = min(first.values()), max(first.values())
    scaled = {d: (s - low) / (high - low) for d, s in first.items()}
    size = [max(row.sum(), 1) ** 0.5 for row in gains()]
    covered = [sum(scaled.get(d, 0) * gains()[j, d] for d in range(6)) / size[j] for j in range(4)]
    expected = {d: s for d in range(6) if (s := sum(covered[j] ** 2 * gains()[j, d] / size[j] for j in range(4))) > 0}
    assert expected == pytest.approx(as_dict(candidates, 0), rel=1e-5)


def test_popular_counts_what_was_right():
    candidates = fitted(QueryMemory(embedder=WordEmbedder(), score="popular")).retrieve(
        QueryBatch([Query("q", "anything")])
    )
    expected = {d: float(np.log1p(total)) for d, total in enumerate(gains().sum(axis=0)) if total}
    assert expected == pytest.approx(as_dict(candidates, 0), rel=1e-5)


def test_what_is_unseen_is_not_remembered():
    """A training query is answered as by a memory that never had it, whatever was judged for it."""
    rest = [row for row in QUESTIONS if row[0] != "t2"]
    asked = [Query(id, text) for id, text, _ in QUESTIONS]
    tables = []
    for judged in ({"1": 2, "3": 2}, {"4": 2, "5": 2}):  # poisoned: other judgments for the same query
        rows = [row if row[0] != "t2" else ("t2", row[1], judged) for row in QUESTIONS]
        memory = QueryMemory(embedder=WordEmbedder(), retriever=BM25())
        FitContext(corpus(), Passages.whole(corpus()), training(rows)).fit(memory)
        batch = QueryBatch(asked, unseen=Unseen.of(training(rows)))
        every = np.broadcast_to(np.arange(6), (5, 6))
        candidates = Candidates.from_scores(every, np.zeros((5, 6)), every)
        tables.append(
            {name: values[2].tolist() for name, values in memory.features(batch, candidates, candidates).items()}
        )
    assert tables[0] == tables[1]
    memory = QueryMemory(embedder=WordEmbedder(), retriever=BM25())
    FitContext(corpus(), Passages.whole(corpus()), training(rest)).fit(memory)
    alone = QueryBatch([asked[2]])
    candidates_alone = Candidates.from_scores(every[:1], np.zeros((1, 6)), every[:1])
    for name, values in memory.features(alone, candidates_alone, candidates_alone).items():
        np.testing.assert_allclose(values[0], tables[0][name], atol=1e-6)


def test_filters_and_deleted_documents_are_honored():
    documents = corpus().with_alive(np.arange(6) != 0)
    memory = fitted(QueryMemory(embedder=WordEmbedder()), documents)
    queries = [Query("q", "warm cat dog", filter={"even": False}), Query("r", "warm cat dog fish")]
    candidates = memory.retrieve(QueryBatch(queries))
    assert set(as_dict(candidates, 0)) == {1, 3}
    assert 0 not in as_dict(candidates, 1)


def pipeline():
    return Pipeline(retriever=Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder()), QueryMemory()]))


def test_documents_come_and_go_and_judgments_enter_at_once(tmp_path):
    made = pipeline().fit(corpus(), training=training())
    memory = made.retriever.retrievers[2]
    made.delete(["0"])
    assert "0" not in {hit.document.id for hit in made.search("warm cat")}
    made.add([Document("0", "the cat is back"), Document("new", "a hamster")])
    retrieved = as_dict(memory.retrieve(QueryBatch([Query("q", "warm cat")])), 0)
    assert made.corpus.position("0") in retrieved
    more = Training([Query("u1", "small hamster")], {"u1": {"new": 1}})
    assert made.add_qrels(more, weight=0.5) == 1
    assert made.add_qrels(more, weight=0.5) == 0
    retrieved = memory.retrieve(QueryBatch([Query("q", "small hamster")]))
    assert made.corpus.position("new") == retrieved.documents[0, 0]
    assert retrieved.scores[0, 0] == pytest.approx(0.5 * 0.5, rel=1e-5)
    made.compact()
    again = memory.retrieve(QueryBatch([Query("q", "small hamster")]))
    assert made.corpus.position("new") == again.documents[0, 0]


def test_it_says_why():
    made = pipeline().fit(corpus(), training=training())
    hit = next(hit for hit in made.search("warm cat", explain=True) if hit.document.id == "0")
    assert hit.keys["retriever.2 query_memory"].startswith("relevant for 2 questions like this: 'warm cat'; ")


def test_what_is_saved_is_what_is_loaded(tmp_path):
    judged = Judged.of(training(), WordEmbedder().embed_queries([text for _, text, _ in QUESTIONS]))
    judged.save(tmp_path)
    again = Judged.load(tmp_path)
    assert (judged.ids, judged.texts, judged.documents) == (again.ids, again.texts, again.documents)
    assert judged.gains.toarray().tolist() == again.gains.toarray().tolist()
    assert judged.vectors.tolist() == again.vectors.tolist()
    assert again.ids == ["t0", "t1", "t2", "t3"]


def test_another_model_is_noticed(tmp_path):
    memory = fitted(QueryMemory(embedder=WordEmbedder()))
    memory.save_state(tmp_path)
    with pytest.raises(ArtifactError, match="another model"):
        QueryMemory(embedder=WordEmbedder(size=8)).load_state(tmp_path, FitContext(corpus(), Passages.whole(corpus())))


def test_bad_input_is_said():
    with pytest.raises(DataError, match="none of the training queries has a relevant document"):
        nothing = Training([Query("t", "x")], {"t": {"0": 0}})
        FitContext(corpus(), Passages.whole(corpus()), nothing).fit(QueryMemory(embedder=WordEmbedder()))
    with pytest.raises(ConfigError, match="learns from judged training queries"):
        Pipeline(retriever=QueryMemory(embedder=WordEmbedder())).fit(corpus())
    with pytest.raises(ConfigError, match="no component of this pipeline remembers judgments"):
        Pipeline(retriever=BM25()).fit(corpus()).add_qrels(training())
    with pytest.raises(ConfigError, match="embedder"):
        Pipeline(retriever=Hybrid(retrievers=[BM25(), QueryMemory()])).fit(corpus(), training=training())
    assert (
        "1 of them of documents that are not in the corpus" in fitted(QueryMemory(embedder=WordEmbedder())).notes()[0]
    )


def test_values_are_looked_up():
    import scipy.sparse as sp

    table = sp.csr_array(np.array([[0, 1.5, 0], [0, 0, 0], [2, 0, 3.0]]))
    table.sort_indices()
    assert lookup(table, np.array([[1, 0, -1], [0, 1, 2], [2, 0, -1]])).tolist() == [
        [1.5, 0, 0],
        [0, 0, 0],
        [3.0, 2.0, 0],
    ]


def test_to_a_question_of_another_subject_it_says_nothing():
    """Forty questions about four subjects that share documents, and forty of their own; a new subject finds silence."""
    rows = [(f"s{n}", f"cat warm v{n}", {"0": 1}) for n in range(20)]
    rows += [(f"o{n}", f"word{n} other{n} thing{n}", {str(n % 6): 1}) for n in range(3)]
    rows += [(f"d{n}", f"loud dog w{n}", {"1": 1}) for n in range(20)]
    documents = corpus()
    made = {}
    for gate in (0.0, 0.8):
        memory = QueryMemory(embedder=WordEmbedder(), gate=gate)
        FitContext(documents, Passages.whole(documents), training(rows)).fit(memory)
        made[gate] = memory
    batch = QueryBatch([Query("near", "cat warm"), Query("far", "quite unheard")])
    said = made[0.8].akin(batch)
    assert said[0] > 0.8
    listed = made[0.8].retrieve(batch)
    assert listed.counts[0] > 0
    assert (listed.counts > 0).tolist() == (said > 0).tolist()
    candidates = Candidates.from_scores(np.array([[0, 1], [0, 1]]), np.ones((2, 2)), np.array([[0, 1], [0, 1]]))
    features = made[0.8].features(batch, candidates, candidates)
    silent = said == 0
    assert all((values[silent] == 0).all() for values in features.values())
    assert made[0.0].akin(batch).min() > 0


def test_memories_of_the_same_know_the_same():
    like, cover = (fitted(QueryMemory(embedder=WordEmbedder(), score=s, retriever=BM25())) for s in ("like", "cover"))
    other = fitted(QueryMemory(embedder=WordEmbedder(), gate=0.5, retriever=BM25()))
    assert like.knowledge == cover.knowledge != other.knowledge


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_centroids_are_means_of_the_questions_a_document_was_right_for():
    rng = np.random.default_rng(0)
    queries, judged = (unit(rng.normal(size=(n, 5)).astype(np.float32)) for n in (4, 9))
    table = (rng.random((9, 6)) < 0.4) * rng.choice([0.5, 1.0], (9, 6))
    table[:, 5] = 0
    queries *= 3  # whose length does not count
    table[:, 4] = [1, 0, 0, 0, 0, 0, 0, 0, 0]  # whose only question the first query must not see
    hidden = np.zeros((4, 9), dtype=bool)
    hidden[0, [0, 3]] = hidden[2, 5] = True
    actual = centroid_cosines(queries, judged, sp.csr_array(table.astype(np.float32)), sp.csr_array(hidden))
    for row, query in enumerate(queries):
        for document in range(6):
            centroid = sum(table[j, document] * judged[j].astype(float) for j in range(9) if not hidden[row, j])
            length = np.linalg.norm(centroid)
            assert actual[row, document] == pytest.approx(query @ centroid / length / 3 if length else 0.0, abs=1e-5)


def test_by_centroid_it_lists_the_documents_nearest_by_their_questions():
    memory = fitted(QueryMemory(embedder=WordEmbedder(), score="centroid", gate=0))
    asked = ["warm cat", "loud dog in water"]
    table = memory.retrieve(QueryBatch([Query(str(n), text) for n, text in enumerate(asked)]))
    vectors = unit(WordEmbedder().embed_queries(asked)).astype(float)
    learned = unit(WordEmbedder().embed_queries([text for _, text, _ in QUESTIONS[:4]])).astype(float)
    for row, vector in enumerate(vectors):
        centroids = gains().T @ learned
        lengths = np.linalg.norm(centroids, axis=1)
        cosines = {d: vector @ centroids[d] / lengths[d] for d in range(len(TEXTS)) if lengths[d]}
        assert as_dict(table, row) == pytest.approx({d: c for d, c in cosines.items() if c > 1e-9}, rel=1e-4)
