"""Texts without content are found by no retriever and no stage, whatever the encoder makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from rag import Corpus, Document, Passages, Pipeline
from rag.rerankers import CUR, CallableScorer, EmbeddingFactors, GraphAdaptive, GraphRank
from rag.retrievers import (
    BM25,
    HNSW,
    IVFPQ,
    LSH,
    Auto,
    Dense,
    Factory,
    Flat,
    Hybrid,
    IVFFlat,
    Keyed,
    RaBitQ,
    ScalarQuantized,
    TextKey,
    TitleKey,
)
from tests.fakes import WordEmbedder

BLANKS = ["", "   ", "\n\t", "\u200b", "\ufeff \u00ad", "\u00a0"]
WORDS = [f"word{number}" for number in range(300)]
DOCUMENTS = [
    *(Document(f"blank{number}", text) for number, text in enumerate(BLANKS)),
    *(
        Document(word, f"{word} and {WORDS[number - 1]}", {"even": number % 2 == 0})
        for number, word in enumerate(WORDS)
    ),
    Document("last", ""),
]


class Everywhere(WordEmbedder):
    """An encoder whose vector of nothing is like everything."""

    type = "fake_everywhere"

    def embed_queries(self, texts):
        vectors = super().embed_queries(texts)
        vectors[~vectors.any(axis=1)] = np.float32(4.0) / np.sqrt(np.float32(self.size))
        return np.abs(vectors)


def dense(index=None, **arguments):
    return Dense(embedder=Everywhere(), index=index or Flat(), **arguments)


def scorer():
    return CallableScorer(lambda pairs: [100.0 - len(passage) for _, passage in pairs])


RETRIEVERS = {
    "bm25": BM25,
    "flat": dense,
    "inner product": lambda: dense(metric="inner_product"),
    "hnsw": lambda: dense(HNSW(m=8)),
    "ivf_flat": lambda: dense(IVFFlat(n_clusters=4, n_probe=4)),
    "ivf_pq": lambda: dense(IVFPQ(n_clusters=4, n_probe=4)),
    "lsh": lambda: dense(LSH()),
    "rabitq": lambda: dense(RaBitQ(n_clusters=4, n_probe=4)),
    "scalar_quantized": lambda: dense(ScalarQuantized()),
    "factory": lambda: dense(Factory("PCA8,Flat")),
    "auto": lambda: dense(Auto()),
    "hybrid": lambda: Hybrid(retrievers=[BM25(), dense()], top_k=400),
    "keyed": lambda: Keyed(keys=[TextKey(retriever=dense(top_k=400))], top_k=400),
    "keyed, all keys": lambda: Keyed(keys=[TextKey(retriever=dense(top_k=400), pooling="log_sum_exp")], top_k=400),
}
STAGES = {
    "graph_adaptive": lambda: GraphAdaptive(scorer=scorer(), embedder=Everywhere(), budget=400),
    "graph_rank": lambda: GraphRank(embedder=Everywhere(), top_k=400),
    "cur": lambda: CUR(scorer=scorer(), factors=EmbeddingFactors(embedder=Everywhere()), budget=250, alignment="none"),
}


@pytest.mark.parametrize("name", RETRIEVERS)
def test_blank_documents_are_not_found(name):
    pipeline = Pipeline(retriever=RETRIEVERS[name]()).fit(DOCUMENTS)
    for condition in (None, {"even": {"exists": False}}, {"even": True}):
        ids = {hit.document.id for hit in pipeline.search("word7", filter=condition)}
        assert {id for id in ids if id.startswith(("blank", "last"))} == set()
    assert list(pipeline.search("word7")) != []


@pytest.mark.parametrize("known", [True, False], ids=["kept", "of an older index"])
def test_they_are_known_after_loading(tmp_path, known):
    passages = Passages.whole(Corpus.from_documents(DOCUMENTS))
    passages.save(tmp_path)
    if not known:
        (tmp_path / "blank.npy").unlink()
    assert Passages.load(tmp_path, passages.corpus).blank.tolist() == [0, 1, 2, 3, 4, 5, 306]


@pytest.mark.parametrize("name", STAGES)
def test_stages_do_not_bring_them_back(name):
    pipeline = Pipeline(retriever=dense(top_k=20), stages=[STAGES[name]()]).fit(DOCUMENTS)
    ids = {hit.document.id for hit in pipeline.search("word7")}
    assert len(ids) > 20
    assert {id for id in ids if id.startswith(("blank", "last"))} == set()


def test_they_are_counted_also_after_changes():
    pipeline = Pipeline(retriever=dense()).fit(DOCUMENTS)
    assert pipeline.notes() == ("7 of 307 passages have no text: no query finds them",)
    pipeline.add([Document("more", " "), Document("blank0", "now with a text")])
    assert pipeline.notes() == ("7 of 308 passages have no text: no query finds them",)
    assert "blank0" in {hit.document.id for hit in pipeline.search("now with a text")}
    pipeline.delete([f"blank{number}" for number in range(1, 6)] + ["last"], compact_at=1.0)
    assert pipeline.notes() == ("1 of 302 passages have no text: no query finds them",)
    pipeline.compact()
    assert pipeline.notes() == ("1 of 302 passages have no text: no query finds them",)


def test_a_corpus_of_blanks_has_nothing_to_find():
    assert list(Pipeline(retriever=dense()).fit([Document("a", ""), Document("b", " ")]).search("x")) == []


def test_a_document_without_text_is_found_by_a_title():
    keys = [TitleKey(retriever=BM25()), TextKey(retriever=dense(top_k=1))]
    pipeline = Pipeline(retriever=Keyed(keys=keys)).fit([Document("a", "", {"title": "Moon"}), Document("b", "sun")])
    assert "a" in [hit.document.id for hit in pipeline.search("moon")]
