"""Token vectors that are merged, and who may not merge them again."""

from __future__ import annotations

import numpy as np
import pytest

from rag import ConfigError, Document, MultiVectorEmbedder, Pipeline, PooledTokens
from rag.component.checks import wrong_parts
from rag.retrievers import Dense, LateInteraction
from tests.fakes import WordEmbedder

TEXTS = ["a b c d e f g h i", "a", "", "x y", "the cat sat on the mat the cat sat on the mat"]


def test_texts_keep_one_vector_for_every_so_many():
    plain = WordEmbedder(size=16).embed_document_tokens(TEXTS)[0]
    merged = PooledTokens(embedder=WordEmbedder(size=16), factor=3).embed_document_tokens(TEXTS)[0]
    lengths, fewer = np.diff(plain.ends), np.diff(merged.ends)
    # The first token stays for itself: n tokens become 1 + max((n - 1) // 3, 1).
    assert fewer.tolist() == [3, 1, 0, 2, 4]
    assert lengths.tolist() == [9, 1, 0, 2, 12]
    np.testing.assert_array_equal(merged.vectors[0], plain.vectors[0])
    np.testing.assert_allclose(np.linalg.norm(merged.vectors.astype(np.float32), axis=1), 1.0, atol=1e-3)
    twice = merged.vectors[merged.ends[4] :].astype(np.float32)
    assert max(np.abs(twice @ plain.vectors[-1].astype(np.float32))) > 0.5


def test_it_finds_as_before_with_fewer_vectors():
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS) if text]
    embedder = PooledTokens(embedder=WordEmbedder(size=16), factor=2)
    pipeline = Pipeline(retriever=LateInteraction(embedder=embedder)).fit(documents)
    plain = Pipeline(retriever=LateInteraction(embedder=WordEmbedder(size=16))).fit(documents)
    assert pipeline.search("cat mat")[0].document.id == plain.search("cat mat")[0].document.id == "4"
    assert pipeline.retriever.tokens.ends[-1] < plain.retriever.tokens.ends[-1]
    dense = Pipeline(retriever=Dense(embedder=embedder.spec.clone())).fit(documents)
    assert dense.search("x y")[0].document.id == "3"


@pytest.mark.parametrize(
    "below", [PooledTokens(embedder=WordEmbedder()), MultiVectorEmbedder("no/model", pool_factor=2)]
)
def test_pooling_twice_is_refused(below):
    mistakes = wrong_parts(LateInteraction(embedder=PooledTokens(embedder=below)))
    assert any("which pools them already" in mistake.message for mistake in mistakes)
    with pytest.raises(ConfigError, match="factor: pools the tokens of .*, which pools them already"):
        PooledTokens(embedder=below)._preflight()
