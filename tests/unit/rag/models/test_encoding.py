"""Batches by tokens and lean forward passes, on tiny models, against sentence-transformers used directly."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rag import SentenceTransformerEmbedder
from rag.models import (
    Reading,
    load_cross_encoder,
    load_pair_encoder,
    load_sentence_encoder,
    load_sentence_transformer,
    ran,
)
from rag.models.batching import WeightedProgress, token_batches
from rag.models.bert import BertForward
from tests import tiny_models

WORDS = [f"w{n}" for n in range(40)]
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, n)) for n in (1, 30, 3, 3, 12, 200, 0, 7, 30, 1)] + ["🙂 unknown", "[PAD] w1"]


def build(kind, folder, *, pooling="mean", dense=False, positions=70):
    """A tiny encoder of an architecture, in a folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

    torch.manual_seed(0)
    size = tiny_models._tokenizer(WORDS, folder / "body", longest=64 if positions == 70 else 8192)
    own = {"vocab_size": size, "max_position_embeddings": positions, "pad_token_id": 0}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    if kind == "distilbert":
        body = DistilBertModel(DistilBertConfig(**own, dim=32, n_layers=2, n_heads=4, hidden_dim=48))
    elif kind == "roberta":
        body = RobertaModel(RobertaConfig(**own, **wide))
    else:
        body = BertModel(BertConfig(**own, **wide, hidden_act="relu" if kind == "relu" else "gelu"))
    for parameter in body.parameters():  # layers that nothing was done to are nearly the identity
        torch.nn.init.normal_(parameter, std=0.2)
    body.save_pretrained(folder / "body")
    after = [Dense(32, 16)] if dense else []
    modules = [Transformer(str(folder / "body")), Pooling(32, pooling), *after, Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return str(folder / "model")


@pytest.mark.parametrize(
    ("kind", "options", "forward"),
    [
        ("bert", {}, "torch (lean BERT)"),
        ("bert", {"pooling": "cls"}, "torch (lean BERT)"),
        ("bert", {"dense": True}, "torch (lean BERT)"),
        ("relu", {}, "torch (lean BERT)"),
        ("roberta", {}, "torch (lean BERT)"),
        ("bert", {"pooling": "max"}, "torch (sentence-transformers)"),
        ("distilbert", {}, "torch (sentence-transformers)"),
    ],
)
def test_vectors_are_those_of_the_library_whatever_runs(kind, options, forward, tmp_path):
    path = build(kind, tmp_path, **options)
    encoder, library = load_sentence_encoder(path, device="cpu"), load_sentence_transformer(path, device="cpu")
    for normalize, truncate in ((True, None), (False, None), (True, 8)):
        expected = library.encode(TEXTS, normalize_embeddings=normalize, truncate_dim=truncate)
        for budget in (1, 20, 10_000):
            how = Reading(query=False, normalize=normalize, truncate_dim=truncate, budget=budget)
            actual = encoder.encode(TEXTS, how).vectors
            np.testing.assert_allclose(actual, expected, atol=2e-6)
            assert actual.dtype == np.float32
    assert f"{forward}, float32" in ran()[path]
    states = library.encode(TEXTS, output_value="token_embeddings")
    both = encoder.encode(TEXTS, Reading(query=False, budget=50), tokens=True)
    np.testing.assert_allclose(both.vectors, library.encode(TEXTS, normalize_embeddings=True), atol=2e-6)
    for mine, state in zip(both.tokens, states, strict=True):
        unit = state.numpy() / np.linalg.norm(state.numpy(), axis=1, keepdims=True)
        np.testing.assert_allclose(mine, unit, atol=1e-3)  # float16


def test_prompts_and_lengths_are_those_of_the_library(tmp_path):
    path = build("bert", tmp_path)
    library = load_sentence_transformer(path, device="cpu")
    library.prompts = {"query": "w1 w2 ", "document": "w3 "}
    embedder = SentenceTransformerEmbedder(path, device="cpu", precision="float32", max_length=6)
    options = {"processing_kwargs": {"text": {"max_length": 6, "truncation": True}}, "normalize_embeddings": True}
    np.testing.assert_allclose(embedder.embed_queries(TEXTS), library.encode_query(TEXTS, **options), atol=2e-6)
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), library.encode_document(TEXTS, **options), atol=2e-6)


def test_a_lean_pass_that_differs_is_not_used(tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    hidden = BertForward.hidden
    monkeypatch.setattr(BertForward, "hidden", lambda self, *given, **options: hidden(self, *given, **options) + 0.01)
    encoder = load_sentence_encoder(path, device="cpu")
    assert encoder.encode(TEXTS, Reading(query=False)).vectors.shape == (len(TEXTS), 32)
    assert "torch (sentence-transformers), float32" in ran()[path]


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fewer_bits_stay_near_and_a_text_does_not_hang_on_its_batch(precision, tmp_path):
    encoder = load_sentence_encoder(build("bert", tmp_path), device="cpu")
    exact = encoder.encode(TEXTS, Reading(query=False)).vectors
    near = encoder.encode(TEXTS, Reading(query=False, precision=precision)).vectors
    assert ((near * exact).sum(axis=1) > 0.99).all()
    alone = np.concatenate(
        [encoder.encode([text], Reading(query=False, precision=precision)).vectors for text in TEXTS]
    )
    np.testing.assert_allclose(alone, near, atol=2e-2 if precision == "bfloat16" else 1e-5)


def test_queries_are_read_once_for_vectors_and_tokens(tmp_path, monkeypatch):
    embedder = SentenceTransformerEmbedder(build("bert", tmp_path), device="cpu", precision="float32")
    expected = embedder.embed_query_tokens(TEXTS)
    calls = []
    hidden = BertForward.hidden
    monkeypatch.setattr(
        BertForward, "hidden", lambda self, ids, *r, **o: calls.append(len(ids)) or hidden(self, ids, *r, **o)
    )
    embedder.embed_queries(TEXTS)
    read = sum(calls)
    tokens = embedder.embed_query_tokens(TEXTS)
    assert (read, sum(calls)) == (len(TEXTS), len(TEXTS))
    np.testing.assert_array_equal(tokens.ends, expected.ends)
    np.testing.assert_allclose(tokens.vectors, expected.vectors, atol=1e-6)
    embedder.embed_query_tokens(TEXTS[:1])  # what was kept was for those queries, and for once
    assert sum(calls) == len(TEXTS) + 1


def test_threads_may_encode_at_once(tmp_path):
    encoder = load_sentence_encoder(build("bert", tmp_path), device="cpu")
    expected = encoder.encode(TEXTS, Reading(query=False)).vectors
    encoded = [None] * 4

    def work(number):
        encoded[number] = encoder.encode(TEXTS, Reading(query=False)).vectors

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in encoded:
        np.testing.assert_array_equal(vectors, expected)


def test_batches_hold_what_the_budget_allows_and_every_text_once():
    lengths = RNG.integers(0, 300, 500)
    batches = list(token_batches(lengths, 512))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= 512 for batch in batches)
    assert [int(lengths[batch].max()) for batch in batches] == sorted(
        (int(lengths[batch].max()) for batch in batches), reverse=True
    )
    assert max(len(batch) for batch in token_batches(lengths, 512, most=3)) == 3
    assert list(token_batches([], 512)) == []


def test_progress_counts_texts_by_their_tokens():
    said = []
    progress = WeightedProgress([100, 100, 1, 1, 1, 1], said.append)
    for rows in token_batches([100, 100, 1, 1, 1, 1], 100):
        progress.done(rows)
    assert said == [2, 3, 1]
    assert sum(said) == 6


def test_progress_of_blocks_that_count_their_own_texts():
    said = []
    progress = WeightedProgress([9, 9, 1, 1], said.append)
    advance = progress.inside([0, 1])
    advance(1)
    assert said == [1]  # 9 of 20
    progress.done_until(2)  # the second was not counted
    assert said == [1, 2]  # 18 of 20
    progress.inside([2, 3])(2)
    assert said == [1, 2, 1]


# -- pairs ---------------------------------------------------------------------------------------------------------


def cross_encoder(kind, folder):
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    torch.manual_seed(0)
    size = tiny_models._tokenizer(WORDS, folder)
    own = {"vocab_size": size, "max_position_embeddings": 70, "pad_token_id": 0, "num_labels": 1}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    if kind == "distilbert":
        model = DistilBertForSequenceClassification(
            DistilBertConfig(**own, dim=32, n_layers=2, n_heads=4, hidden_dim=48)
        )
    elif kind == "roberta":
        model = RobertaForSequenceClassification(RobertaConfig(**own, **wide))
    else:
        model = BertForSequenceClassification(BertConfig(**own, **wide))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "forward"),
    [
        ("bert", "torch (lean BERT)"),
        ("roberta", "torch (lean BERT)"),
        ("distilbert", "torch (sentence-transformers)"),
    ],
)
def test_scores_are_those_of_the_library_whatever_runs(kind, forward, tmp_path):
    import torch

    path = cross_encoder(kind, tmp_path)
    encoder, library = load_pair_encoder(path, device="cpu"), load_cross_encoder(path, device="cpu")
    pairs = [(query, text) for query in TEXTS[:4] for text in TEXTS]
    for length in (None, 12):
        options = {} if length is None else {"processing_kwargs": {"text": {"max_length": length, "truncation": True}}}
        expected = library.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False, **options)
        for budget in (1, 50, 10_000):
            actual = encoder.score(pairs, max_length=length, budget=budget)
            np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert f"{forward}, float32" in ran()[path]
    assert encoder.score([]).shape == (0,)
