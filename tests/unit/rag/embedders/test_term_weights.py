"""Weights of terms that are learned from judged questions over an encoder that stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from rag import (
    ConfigError,
    Document,
    ModelError,
    MultiVectorEmbedder,
    Pipeline,
    PooledTokens,
    Query,
    SentenceTransformerEmbedder,
    TermWeights,
    Training,
)
from rag.component.checks import wrong_parts
from rag.embedders.sparse.token_pairs import token_pairs
from rag.retrievers import Sparse
from tests import tiny_models

RNG = np.random.default_rng(0)
TOPICS, NOISES = [f"topic{n}" for n in range(20)], [f"noise{n}" for n in range(20)]
FILLERS = [f"filler{n}" for n in range(6)]


def text_of(number):
    """As often with words of noise as with its topic."""
    words = [TOPICS[number % 20], NOISES[int(RNG.integers(20))], *RNG.choice(FILLERS, size=4)]
    return " ".join(RNG.permutation(words))


DOCUMENTS = [Document(f"d{number}", text_of(number)) for number in range(120)]


def training(first, n):
    """Questions for a topic with a word of noise: all documents of the topic are relevant."""
    queries = [Query(f"q{k}", f"{TOPICS[k % 20]} {NOISES[(7 * k + k // 20) % 20]}") for k in range(first, first + n)]
    qrels = {query.id: {f"d{d}": 1 for d in range(120) if d % 20 == int(query.id[1:]) % 20} for query in queries}
    return Training(queries, qrels)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    words = tiny_models.words_of([*TOPICS, *NOISES, *FILLERS])
    return SentenceTransformerEmbedder(
        tiny_models.encoder(words, tmp_path_factory.mktemp("encoder")), precision="float32", device="cpu"
    )


def fitted(encoder, judged, **arguments):
    retriever = Sparse(embedder=TermWeights(embedder=encoder.spec.clone(), **arguments))
    return Pipeline(retriever=retriever).fit(DOCUMENTS, training=judged)


def precision(pipeline, judged):
    """Share of relevant documents among the first six."""
    results = pipeline.search(judged.queries, top_k=6)
    return np.mean([sum(hit.document.id in judged.qrels[row.query.id] for hit in row) / 6 for row in results])


def test_it_learns_which_words_matter(encoder, tmp_path):
    judged, test = training(0, 60), training(100, 40)
    nothing = fitted(encoder, training(0, 5))
    learned = fitted(encoder, judged, learning_rate=0.05)
    assert precision(nothing, test) < 0.75
    assert precision(learned, test) > 0.9
    learned.save(tmp_path / "index")
    again = Pipeline.load(tmp_path / "index")
    assert [row.hits for row in again.search(test.queries)] == [row.hits for row in learned.search(test.queries)]
    hit = learned.search(test.queries[0], explain=True)[0]
    assert hit.keys["retriever"].startswith("topic")


def test_untrained_it_is_bm25_over_tokens(encoder):
    pipeline = fitted(encoder, training(0, 5))
    [remark] = [remark for remark in pipeline.remarks if "learned nothing" in remark.message]
    assert remark.message == (
        "'term_weights' learned nothing: 5 of 5 training queries have a relevant document, and 20 are needed; its "
        "weights are BM25's"
    )
    texts = [document.text.split() for document in DOCUMENTS]
    mean = np.mean([len(text) for text in texts])
    word = TOPICS[3]
    df = sum(word in text for text in texts)
    expected = {}
    for document, text in zip(DOCUMENTS, texts, strict=True):
        if tf := text.count(word):
            saturated = 2.2 * tf / (tf + 1.2 * (0.25 + 0.75 * len(text) / mean))
            expected[document.id] = pytest.approx(np.log(1 + (120 - df + 0.5) / (df + 0.5)) * saturated, rel=1e-4)
    assert {hit.document.id: hit.score for hit in pipeline.search(word)} == expected


def test_few_terms_are_left_when_few_are_wanted(encoder):
    pipeline = fitted(encoder, training(0, 60), learning_rate=0.05, target_active_dims=3)
    active = np.bincount(pipeline.retriever._postings.indices, minlength=120)
    assert active.max() <= 3
    assert precision(pipeline, training(100, 40)) > 0.75


def test_it_needs_training_queries(encoder):
    with pytest.raises(ConfigError, match="learns from judged training queries: none were given"):
        Pipeline(retriever=Sparse(embedder=TermWeights(embedder=encoder.spec.clone()))).fit(DOCUMENTS)


def test_documents_that_come_later_get_weights_too(encoder):
    pipeline = fitted(encoder, training(0, 60), learning_rate=0.05)
    pipeline.add([Document("new", "topic3 filler0 topic3")])
    assert pipeline.search("topic3")[0].document.id == "new"


def test_pairs_are_the_different_tokens_of_each_text(encoder):
    texts = ["topic1 noise1 topic1", "", "topic2 " * 100]
    vectors, _ = encoder.embed_document_tokens(texts)
    [pairs] = token_pairs(encoder, texts, vectors)
    tokenizer = encoder.tokenizer()
    assert [tokenizer.id_to_token(token) for token in pairs.tokens] == ["noise1", "topic1", "topic2"]
    assert (pairs.texts.tolist(), pairs.counts.tolist(), pairs.lengths.tolist()) == ([0, 0, 2], [1, 2, 62], [3, 0, 62])
    mean = (vectors.vectors[1].astype(np.float32) + vectors.vectors[3]) / 2
    np.testing.assert_allclose(pairs.vectors[1], mean, atol=1e-3)


def test_an_embedder_whose_tokens_are_others_is_refused(encoder, tmp_path):
    """More, by the vocabulary of another model, or fewer, by a mask."""
    vectors, _ = encoder.embed_document_tokens(["topic1 topic2 topic3"])
    with pytest.raises(ModelError, match="has 5 vectors for a text of 3 tokens: they are not the tokens of its"):
        list(token_pairs(encoder, ["topic1"], vectors))
    words = tiny_models.words_of(TOPICS)
    masked = MultiVectorEmbedder(tiny_models.multi_vector(words, tmp_path, skipped=["topic2"]), device="cpu")
    vectors, _ = masked.embed_document_tokens(["topic1 topic2 topic3"])
    with pytest.raises(ModelError, match="has 4 vectors for a text of 5 tokens"):
        list(token_pairs(masked, ["topic1 topic2 topic3"], vectors))
    [mistake] = wrong_parts(TermWeights(embedder=PooledTokens(embedder=encoder.spec.clone())))
    assert mistake.message == "needs a vector for every token, which 'pooled_tokens' merges"
