"""Work that others do gives what it gives here, and only work that others can do is given away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rag import LSA, ConfigError, Document, Pipeline, SentenceTransformerEmbedder
from rag.cli.execution import executed_on
from rag.cluster import Ray, Work
from rag.errors import ServerError
from rag.execution import Execution, embed_documents, executed_elsewhere
from rag.rerankers import CrossEncoderScorer, Rerank
from rag.retrievers import BM25, Dense
from tests.tiny_models import cross_encoder, encoder, words_of

DOCUMENTS = [Document(f"d{n}", f"thing {n} of red and {'green ' * (n % 5)}") for n in range(150)]


class Elsewhere(Execution):
    """Workers in this process; blocks come back in another order."""

    def __init__(self):
        self.calls = Counter()
        self.workers = {}

    def done(self, component, calls):
        worker = self.workers.setdefault(component.spec.cache_key, Work(component.kind, component.spec.to_config()))
        for number in reversed(range(len(calls))):
            method, arguments = calls[number]
            self.calls[method] += 1
            yield number, getattr(worker, method)(*arguments)


def test_an_index_and_its_answers_are_the_same(tmp_path):
    words = words_of(document.text for document in DOCUMENTS)
    model, judge = encoder(words, tmp_path / "encoder"), cross_encoder(words, tmp_path / "judge")

    def make():
        return Pipeline(
            retriever=Dense(embedder=SentenceTransformerEmbedder(model), top_k=300),
            stages=[Rerank(scorer=CrossEncoderScorer(judge), budget=300, blend=None)],
        )

    here, elsewhere = make().fit(DOCUMENTS), Elsewhere()
    there = make().fit(DOCUMENTS, execution=elsewhere, store=tmp_path / "store")
    keys = np.arange(150)
    assert elsewhere.calls == {"embed": 3}
    vectors = there.retriever.index.reconstruct(keys)
    assert np.allclose(vectors, here.retriever.index.reconstruct(keys), atol=1e-6)
    queries = ["thing 3 of red", "green green", "thing 3 of red"]
    with elsewhere.used():
        found = there.search(queries, top_k=5)
    assert elsewhere.calls["score"] == 2
    for one, other in zip(found, here.search(queries, top_k=5), strict=True):
        assert [hit.document.id for hit in one] == [hit.document.id for hit in other]
        assert np.allclose([hit.score for hit in one], [hit.score for hit in other], atol=1e-5)
    assert there.fingerprint == here.fingerprint
    make().fit(DOCUMENTS, execution=elsewhere, store=tmp_path / "store")
    assert elsewhere.calls["embed"] == 3  # all was in the store


def test_what_was_fitted_or_lives_here_stays_here():
    elsewhere = Elsewhere()
    with elsewhere.used():
        assert executed_elsewhere(LSA(dim=4)) is None
        assert executed_elsewhere(BM25()) is None
    assert executed_elsewhere(SentenceTransformerEmbedder("x")) is None
    Pipeline(retriever=Dense(embedder=LSA(dim=4))).fit(DOCUMENTS, execution=elsewhere)
    assert elsewhere.calls == {}


def test_places_that_are_none():
    with (
        pytest.raises(ConfigError, match="--on: must be local, ray or ray://HOST:PORT, got 'moon'"),
        executed_on("moon"),
    ):
        pass
    with pytest.raises(ConfigError, match="workers: must be a whole number of at least 1, got 0"):
        Ray(workers=0)
    with executed_on("local"):
        assert executed_elsewhere(SentenceTransformerEmbedder("x")) is None
    for address, kind, message in [
        ("127.0.0.1:1", ServerError, "Ray at 127.0.0.1:1: cannot be reached: Connection refused"),
        ("ray://127.0.0.1:1", ServerError, "Ray at ray://127.0.0.1:1: cannot be reached: Connection refused"),
        ("ray://moon", ConfigError, "address: must be local, HOST:PORT or ray://HOST:PORT, got 'ray://moon'"),
    ]:
        with Ray(address) as ray, ray.used(), pytest.raises(kind, match=message):
            embed_documents(SentenceTransformerEmbedder("x"), ["a"])
