"""Sentences picked by their embeddings, against a plain loop; and summaries from a file."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pytest

from rag import DataError, ModelError, Source, Store, Turn
from rag.summarizers import Extractive, Precomputed
from tests.fakes import WordEmbedder

TEXT = "The cat sleeps here. The cat sleeps there. Dogs bark at night. The cat sleeps. Fish swim. Cats sleep at night."
SENTENCES = re.findall(r"[^.]+\.", TEXT)


def plain(sentences, n, redundancy, gains):
    """The rule of the docstring, one sentence at a time."""
    vectors = WordEmbedder(size=32).embed_documents(sentences).astype(np.float64)
    taken: list[int] = []
    while len(taken) < n:
        values = [
            np.mean([vectors[i] @ other for other in vectors])
            + gains[i]
            - redundancy * max([float(vectors[i] @ vectors[j]) for j in taken], default=0.0)
            if i not in taken
            else -np.inf
            for i in range(len(sentences))
        ]
        taken.append(int(np.argmax(values)))
    return [sentences[i] for i in sorted(taken)]


@pytest.mark.parametrize("redundancy", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("position", [0.0, 0.3])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_sentences_are_those_of_the_plain_rule(n, position, redundancy):
    extractive = Extractive(embedder=WordEmbedder(size=32), sentences=n, redundancy=redundancy, position=position)
    clean = [sentence.strip() for sentence in SENTENCES]
    gains = np.linspace(position, 0, len(clean))
    expected = " ".join(plain(clean, n, redundancy, gains))
    assert extractive.summarize([Source("a", TEXT)]).texts == [(expected,)]


def test_redundancy_position_and_the_latest_turn_matter():
    def of(source, **arguments):
        return Extractive(embedder=WordEmbedder(size=32), sentences=1, **arguments).summarize([source]).texts[0][0]

    assert of(Source("a", TEXT), position=5.0) == "The cat sleeps here."
    spoken = tuple(
        Turn(speaker, text) for speaker, text in zip(["user", "agent", "user", "agent"], SENTENCES, strict=False)
    )
    assert of(Source("a", "x", spoken[:3]), latest=5.0) == "user: Dogs bark at night."
    assert of(Source("a", "x", spoken), latest=5.0) in {"user: Dogs bark at night.", "agent: The cat sleeps."}
    assert of(Source("a", "x", spoken), latest=0.0) != "user: Dogs bark at night."


def test_a_text_that_has_no_more_is_its_own_summary_and_one_without_a_sentence_stays():
    extractive = Extractive(embedder=WordEmbedder(), sentences=3, block=2)
    summaries = extractive.summarize([Source("a", "One. Two."), Source("b", ""), Source("c", "Three.")])
    assert summaries.texts == [("One. Two.",), ("",), ("Three.",)]


def test_extracts_are_kept(tmp_path, monkeypatch):
    def extractive():
        return Extractive(embedder=WordEmbedder(size=32), sentences=2)

    store = Store(tmp_path)
    first = extractive().summarize([Source("a", TEXT)], store=store)
    monkeypatch.setattr(WordEmbedder, "embed_documents", None)
    assert first.texts == extractive().summarize([Source("b", TEXT)], store=store).texts


# -- from a file --------------------------------------------------------------------------------------------------


def written(tmp_path, *rows):
    file = tmp_path / "summaries.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(file)


SOURCES = [Source("a", "long a"), Source("b", "long b"), Source("c", "long c")]


def test_summaries_come_by_id_and_missing_ones_are_listed(tmp_path, caplog):
    file = written(
        tmp_path, {"_id": "a", "summary": "A"}, {"_id": "b", "summary": ["B1", "B2"]}, {"_id": "z", "summary": "Z"}
    )
    with caplog.at_level(logging.WARNING, "rag"):
        summaries = Precomputed(file).summarize(SOURCES, store=Store(tmp_path / "store"))
    assert summaries.texts == [("A",), ("B1", "B2"), ("long c",)]
    assert summaries.problems == {"c": f"{file} has no such id; 1 of its ids belong to no document"}
    assert "made nothing of 1 of 3 texts: 'c' (" in caplog.text
    with pytest.raises(ModelError, match="made nothing of 1 of 3 texts: 'c'"):
        Precomputed(file).summarize(SOURCES, strict=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"_id": "z", "summary": "Z"}],
            "none of its 1 ids belongs to a document (such as 'z'; documents have ids such as",
        ),
        ([], "none of its 0 ids belongs to a document"),
        ([{"_id": "a", "summary": "A"}] * 2, ":2: two summaries have the id 'a'"),
        ([{"_id": "a", "sumary": "A"}], ":1: the summary of 'a' must be a text or a list of texts under 'summary'"),
        ([{"_id": "a", "summary": [1]}], ":1: the summary of 'a' must be a text"),
        ([{"summary": "A"}], ":1: the id 'id' is missing"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path, rows, message):
    with pytest.raises(DataError, match=re.escape(message)):
        Precomputed(written(tmp_path, *rows)).summarize(SOURCES)


def test_a_file_that_is_not_there(tmp_path):
    for action in (lambda summarizer: summarizer.summarize(SOURCES), lambda summarizer: summarizer.spec.cache_key):
        with pytest.raises(DataError, match="cannot be read: No such file"):
            action(Precomputed(str(tmp_path / "none.jsonl")))
