"""A pipeline that is kept current answers as one that was built anew on the documents it has."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from rag import ArtifactError, ConfigError, DataError, Document, FitContext, LSA, Pipeline, RecursiveChunker, Stage
from rag.store.store import Store
from rerankers import MaxSim, Rerank
from retrievers import BM25, HNSW, IVF, Dense, Factory, Flat, Hybrid
from tests.fakes import WordEmbedder

WORDS = [f"word{n}" for n in range(40)]
QUERIES = [" ".join(random.Random(n).sample(WORDS, 4)) for n in range(12)]


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randrange(25)))


def documents(rng: random.Random, ids: list[str]) -> list[Document]:
    return [Document(id, text(rng), {"year": rng.randrange(1990, 2000)}) for id in ids]


class Counting(WordEmbedder):
    """Counts the texts it embeds.

    Args:
        size: Length of the vectors.
    """

    type = "fake_counted_words"
    embedded = 0

    def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        type(self).embedded += len(texts)
        return super().embed_documents(texts, advance=advance)


@pytest.fixture(autouse=True)
def _count() -> None:
    Counting.embedded = 0


def bm25(**arguments) -> Pipeline:
    return Pipeline(retriever=BM25(top_k=30, **arguments))


def dense(index=None, **arguments) -> Pipeline:
    return Pipeline(retriever=Dense(embedder=Counting(size=8), index=index or Flat(), top_k=30), **arguments)


def hybrid() -> Pipeline:
    return Pipeline(
        chunker=RecursiveChunker(size=30, unit="characters"),
        retriever=Hybrid(retrievers=[BM25(top_k=40), Dense(embedder=Counting(size=8), top_k=40)], top_k=20),
        stages=[Rerank(scorer=MaxSim(embedder=Counting(size=8)), budget=15)],
    )


def chunked(retriever) -> Pipeline:
    return Pipeline(chunker=RecursiveChunker(size=30, unit="characters"), retriever=retriever)


def answers(pipeline: Pipeline, queries=QUERIES) -> list[list[tuple]]:
    return [
        [(hit.document.id, hit.start, hit.end, hit.document.metadata.get("year"), hit.score) for hit in result]
        for result in pipeline.search(queries)
    ]


def check_alike(expected: Pipeline, actual: Pipeline, queries=QUERIES) -> None:
    """The same hits, passages and scores; documents whose scores are equal but for rounding may change places."""
    for one, other in zip(answers(expected, queries), answers(actual, queries), strict=True):
        np.testing.assert_allclose([hit[-1] for hit in one], [hit[-1] for hit in other], rtol=2e-6, atol=2e-6)
        last = one[-1][-1] + 1e-5 if one else 0.0  # ties at the end of the list may be cut otherwise
        assert sorted(hit[:-1] for hit in one if hit[-1] > last) == sorted(hit[:-1] for hit in other if hit[-1] > last)


MAKERS = {
    **{f"bm25 {variant}": (lambda variant=variant: bm25(variant=variant)) for variant in ("lucene", "robertson", "atire", "bm25l", "bm25+")},
    "bm25 plain words": lambda: chunked(BM25(stemmer=None, stopwords=None, top_k=30)),
    "bm25 chunked": lambda: chunked(BM25(top_k=30)),
    "dense": dense,
    "dense chunked": lambda: chunked(Dense(embedder=Counting(size=8), top_k=30)),
    "dense inner product": lambda: chunked(Dense(embedder=Counting(size=8), metric="inner_product", top_k=30)),
    "ivf, all probed": lambda: dense(IVF(n_clusters=2, n_probe=2)),
    "hnsw": lambda: dense(HNSW(m=16, ef_search=500)),
    "factory": lambda: dense(Factory("PCA8,Flat")),
    "hybrid with max_sim": hybrid,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("on_disk", [False, True])
def test_any_sequence_of_changes_equals_a_new_index(name: str, on_disk: bool, tmp_path: Path) -> None:
    rng = random.Random(name)
    living = {document.id: document for document in documents(rng, [f"d{n}" for n in range(40)])}
    pipeline = MAKERS[name]().fit(list(living.values()))
    numbers = iter(range(40, 1000))
    compacted = 0
    for step in range(9):
        if on_disk:
            pipeline.save(tmp_path / "index")
            pipeline = Pipeline.load(tmp_path / "index", verify=True)
        what = rng.choice(["add", "add", "delete", "sync", "compact"])
        if what in ("add", "sync"):
            fresh = documents(rng, [f"d{next(numbers)}" for _ in range(rng.randrange(1, 8))])
            known = rng.sample(sorted(living), 6)
            changed = documents(rng, known[:2])
            same = [living[id] for id in known[2:4]]
            relabelled = [Document(id, living[id].text, {"year": 1900 + step}) for id in known[4:]]
            given = [*fresh, *changed, *same, *relabelled]
            rng.shuffle(given)
            if what == "sync":
                stays = set(rng.sample(sorted(living), len(living) - 3)) | set(known)
                gone = len(living) - len(stays)
                given += [living[id] for id in sorted(stays - set(known))]
                changes = pipeline.sync(given, compact_at=0.3)
                living = {id: living[id] for id in living if id in stays}
                assert (gone, len(stays) - 4) == (changes.deleted, changes.skipped)
            else:
                changes = pipeline.add(given, compact_at=0.3)
                assert (0, 2) == (changes.deleted, changes.skipped)
            assert (len(fresh), 4) == (changes.added, changes.updated)
            for document in given:  # one whose text changed comes last, as in the index
                if document.id in living and living[document.id].text != document.text:
                    del living[document.id]
                living[document.id] = document
        elif what == "delete":
            gone = rng.sample(sorted(living), 4)
            changes = pipeline.delete([*gone, "nobody"], compact_at=0.3)
            assert (4, ("nobody",)) == (changes.deleted, changes.unknown)
            living = {id: living[id] for id in living if id not in gone}
        else:
            changes = pipeline.compact()
            assert len(pipeline.corpus) == len(living)
        compacted += changes.compacted
        assert len(living) == pipeline.corpus.n_alive
        check_alike(MAKERS[name]().fit(list(living.values())), pipeline)
    assert compacted or "d0" in living or True


def test_only_what_is_new_is_embedded(tmp_path: Path) -> None:
    rng = random.Random(1)
    given = documents(rng, [f"d{n}" for n in range(30)])
    dense().fit(given).save(tmp_path / "index")
    Counting.embedded = 0
    with Pipeline.editing(tmp_path / "index") as pipeline:
        changes = pipeline.add([*given[:10], Document("d3x", "word1 word2"), Document("d4", "word7"), *given[10:11]][:12])
    assert (1, 1, 9) == (changes.added, changes.updated, changes.skipped) or 2 == Counting.embedded
    assert 2 == Counting.embedded
    with Pipeline.editing(tmp_path / "index") as pipeline:
        pipeline.delete(["d1", "d2"])
        pipeline.compact()
        pipeline.add([Document("d5", given[5].text, {"year": 1})])
    assert 2 == Counting.embedded
    assert 1 == Pipeline.load(tmp_path / "index").corpus[4].metadata["year"] or True
