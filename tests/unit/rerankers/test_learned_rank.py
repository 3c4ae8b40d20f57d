"""Learning to rank as a stage: nothing sees its own judgments, and what does not win is left out."""

from __future__ import annotations

import numpy as np
import pytest

from rag import Adapted, Corpus, DataError, Document, FitContext, Pipeline, Query, QueryBatch, Training
from rag.rerankers import LearnedRank, Rerank
from rag.rerankers.callable import CallableScorer
from rag.rerankers.learned_rank.stage import Gatherer
from rag.retrievers import BM25, Dense, Feedback, Hybrid, QueryMemory
from rag.retrievers.fusion.learned import Learned
from rag.testing import check_candidates
from tests.fakes import WordEmbedder

TOPICS = [f"topic{n}" for n in range(8)]
RNG = np.random.default_rng(3)


def documents(n=48):
    """Documents of eight topics; the first of each topic is the one that is right for questions about it."""
    for number in range(n):
        topic = TOPICS[number % 8]
        words = " ".join(f"w{w}" for w in RNG.integers(0, 30, size=6))
        yield Document(str(number), f"{topic} {topic if number % 3 else ''} {words}", {"clicks": float(number < 8)})


CORPUS = Corpus.from_documents(list(documents()))


def questions(n, prefix="t", right=lambda topic, number: topic):
    queries, judged = [], {}
    for number in range(n):
        topic = number % 8
        queries.append(Query(f"{prefix}{number}", f"about {TOPICS[topic]} w{number % 30} v{number}x"))
        judged[queries[-1].id] = {str(right(topic, number)): 1}
    return Training(queries, judged)


def pipeline(**arguments):
    hybrid = Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())])
    return Pipeline(retriever=hybrid, stages=[LearnedRank(**arguments)])


def quality(made, asked):
    results = made.search(asked.queries, top_k=10)
    ranks = [[hit.document.id in asked.qrels[r.query.id] for hit in r] for r in results]
    return float(np.mean([1 / (1 + hits.index(True)) if True in hits else 0 for hits in ranks]))


@pytest.mark.parametrize("model", ["linear_listwise", "lambdamart", "mean"])
def test_it_learns_what_is_right_and_survives_saving(model, tmp_path):
    made = pipeline(sources=[Feedback(), QueryMemory()], model=model).fit(CORPUS, training=questions(80))
    test = questions(24, "q")
    plain = Pipeline(retriever=Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())])).fit(CORPUS)
    assert made.stages[0].choice.chosen == "with memory"
    assert quality(made, test) > quality(plain, test) + 0.2
    batch = QueryBatch(test.queries)
    check_candidates(made.run(batch), made.passages, 24, 100)
    alone = [made.run(QueryBatch([query])).documents[0, :5].tolist() for query in test.queries[:5]]
    assert alone == made.run(batch).documents[:5, :5].tolist()
    hit = made.search(test.queries[0], explain=True)[0]
    assert "stages.0 learned_rank" in hit.keys
    assert sum(made.stages[0].importances.values()) == pytest.approx(1)
    report = made.stages[0].learned_report()
    assert [option["name"] for option in report["options"]] == ["as it came", "without memory", "with memory"]
    assert report["dependence"]


def test_a_querys_own_judgment_changes_nothing_it_is_given(monkeypatch):
    """Poison one training query: its candidates and features while fitting are those of the healthy one."""
    given = []
    original = Gatherer.__call__

    def kept(self, batch, first):
        gathered = original(self, batch, first)
        given.append((batch, gathered))
        return gathered

    monkeypatch.setattr(Gatherer, "__call__", kept)
    healthy = questions(40)
    poisoned = Training(healthy.queries, healthy.qrels | {"t7": {"40": 1, "41": 1}})
    rows = []
    for training in (healthy, poisoned):
        given.clear()
        pipeline(sources=[Feedback(), QueryMemory(), QueryMemory(score="cover")]).fit(CORPUS, training=training)
        batch, gathered = given[0]
        row = [query.id for query in batch.queries].index("t7")
        rows.append((gathered.candidates.documents[row].tolist(), gathered.features.values[row]))
    assert [p for p in rows[0][0] if p >= 0] == [p for p in rows[1][0] if p >= 0]
    n = sum(p >= 0 for p in rows[0][0])
    np.testing.assert_array_equal(rows[0][1][:n], rows[1][1][:n])


def test_memory_that_misleads_is_left_out():
    """Questions of dev are about documents that were never judged, while training questions repeat theirs."""
    training = questions(80, right=lambda topic, number: topic + 8 * (number % 2))
    other = questions(40, "d", right=lambda topic, number: topic + 16 + 8 * (number % 3))
    judged = Training(training.queries, training.qrels, other)
    made = pipeline(sources=[QueryMemory()]).fit(CORPUS, training=judged)
    assert made.stages[0].choice.chosen != "with memory"
    assert "what does not win by a standard error is left out" in made.stages[0].notes()[0]
    forced = pipeline(sources=[QueryMemory()], guard=False).fit(CORPUS, training=judged)
    assert quality(forced, other) < quality(made, other)


def test_questions_that_no_memory_knows_are_ranked_without_it(tmp_path, monkeypatch):
    made = pipeline(sources=[QueryMemory()]).fit(CORPUS, training=questions(80))
    assert "with memory" == made.stages[0].choice.chosen
    batch = QueryBatch(questions(6, "q").queries)
    heard = made.run(batch).documents.tolist()
    monkeypatch.setattr(QueryMemory, "akin", lambda self, batch: np.zeros(len(batch), dtype=np.float32))
    silent = made.run(QueryBatch(batch.queries)).documents.tolist()
    otherwise = made.stages[0]._learned.otherwise
    plain = pipeline().fit(CORPUS, training=questions(80))
    assert (otherwise is None) == (plain.stages[0].choice.chosen == "as it came")
    assert heard != silent
    made.stages[0].save_state(tmp_path)
    again = LearnedRank(sources=[QueryMemory()])
    again.load_state(tmp_path, FitContext(CORPUS, made.passages, first=made.retriever))
    kept = again._learned
    assert (kept.with_memory, kept.level, kept.otherwise is None) == (
        True,
        made.stages[0]._learned.level,
        otherwise is None,
    )
    assert "as it came" in made.search(batch.queries[0], explain=True)[0].keys["stages.0 learned_rank"] or otherwise


def test_memories_that_know_the_same_are_features_once():
    both = pipeline(sources=[QueryMemory(), QueryMemory(score="cover")], guard=False)
    both.fit(CORPUS, training=questions(80))
    names = both.stages[0].importances
    assert not [name for name in names if name.startswith("sources.1 query_memory like")]


def test_what_was_chosen_as_it_came_costs_nothing():
    never = Training(questions(30).queries, {f"t{n}": {str(n % 48): 1} for n in range(30)})
    made = pipeline(sources=[QueryMemory()]).fit(CORPUS, training=never)
    if made.stages[0].choice.chosen == "as it came":
        batch = QueryBatch(never.queries[:3])
        candidates = made.run(batch)
        assert candidates.documents.tolist() == batch.lists["retriever"].documents.tolist()


def test_few_questions_leave_the_list_as_it_came():
    made = pipeline(sources=[QueryMemory()]).fit(CORPUS, training=questions(10))
    assert made.stages[0].choice.chosen == "as it came"
    assert "10 of 10 training queries" in made.stages[0].notes()[0]
    assert made.search("about topic3")


@pytest.mark.parametrize(
    ("grades", "said"),
    [
        ({}, "no training query has a relevant document"),
        ({str(number): 0 for number in range(48)}, "no training query has a relevant document"),
        ({str(number): 1 for number in range(48)}, "0 of 40 training queries have a relevant candidate and another"),
    ],
    ids=["none judged", "all irrelevant", "all relevant"],
)
def test_judgments_of_one_class_teach_nothing(grades, said):
    given = questions(40)
    training = Training(given.queries, {query.id: grades for query in given.queries})
    ranked = pipeline(model="mean", guard=False).fit(CORPUS, training=training)
    assert f"learned_rank leaves lists as they come: {said}" in ranked.stages[0].notes()[0]
    fused = Hybrid(retrievers=[BM25(), Dense(embedder=Adapted(embedder=WordEmbedder()))], fusion=Learned())
    stage = Rerank(scorer=CallableScorer(lambda pairs: [0.0] * len(pairs), name="constant"), budget=5)
    plain = Pipeline(retriever=fused, stages=[stage]).fit(CORPUS, training=training)
    assert "weighs all lists alike" in fused.fusion.notes()[0]
    assert any(remark.message.startswith("adapted leaves queries as they are") for remark in plain.remarks)
    assert 1 == stage.weight
    memory = Pipeline(retriever=QueryMemory(embedder=WordEmbedder()))
    if "1" in grades and grades["1"]:
        assert memory.fit(CORPUS, training=training).search(given.queries[0])
    else:
        with pytest.raises(DataError, match="none of the training queries has a relevant document"):
            memory.fit(CORPUS, training=training)


def test_fields_are_features_and_bad_ones_are_said():
    made = pipeline(fields=["clicks"]).fit(CORPUS, training=questions(60))
    assert "metadata clicks" in made.stages[0].importances
    with pytest.raises(DataError, match="no document has the field 'click'"):
        pipeline(fields=["click"]).fit(CORPUS, training=questions(60))


def test_judgments_of_deleted_documents_count_for_nothing():
    training = questions(60)
    gone = Training(training.queries, {id: judged | {"gone": 1} for id, judged in training.qrels.items()})
    made = pipeline(sources=[QueryMemory()]).fit(CORPUS, training=gone)
    assert made.stages[0].learned_report()["training"]["missing"] == 60
    made.delete(["3"])
    assert "3" not in {hit.document.id for hit in made.search("about topic3")}


def test_lists_weigh_what_questions_say():
    fused = Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder(size=2))], fusion=Learned())
    made = Pipeline(retriever=fused).fit(CORPUS, training=questions(40, right=lambda topic, number: topic))
    weights = fused.fusion._weights
    assert weights.shape == (2, 2)
    assert made.search("about topic3")
    few = Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())], fusion=Learned())
    Pipeline(retriever=few).fit(CORPUS, training=questions(5))
    assert few.fusion._weights.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert "weighs all lists alike: 5 training queries" in few.fusion.notes()[0]
