"""What holds for every embedder."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from rag.embedders.base import Embedder, TokenEmbedder
from rag.testing.component import ComponentConformance

__all__ = ["EmbedderConformance"]


class EmbedderConformance(ComponentConformance):
    """What holds for every embedder."""

    tolerance: ClassVar[float] = 1e-5
    """How far vectors of one text may lie apart when it is embedded among others."""

    @abstractmethod
    def make(self) -> Embedder:
        raise NotImplementedError

    def test_vectors_have_shape_and_type(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        texts = passages.corpus.texts()
        for batch in (texts, texts[:1], []):
            for vectors in (embedder.embed_documents(batch), embedder.embed_queries(batch)):
                assert vectors.shape == (len(batch), embedder.dimension)
                assert vectors.dtype == np.float32
                assert np.isfinite(vectors).all()

    def test_a_text_has_its_vector_wherever_it_stands(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        texts = passages.corpus.texts()
        for embed in (embedder.embed_documents, embedder.embed_queries):
            np.testing.assert_allclose(embed(texts)[::-1], embed(texts[::-1]), atol=self.tolerance)
            np.testing.assert_allclose(embed(texts)[:1], embed(texts[:1]), atol=self.tolerance)

    def test_progress_counts_every_text_once(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        steps: list[int] = []
        texts = passages.corpus.texts() * 5
        with_progress = embedder.embed_documents(texts, advance=steps.append)
        assert sum(steps) == len(texts)
        np.testing.assert_allclose(with_progress, embedder.embed_documents(texts), atol=self.tolerance)

    def test_saved_and_loaded_it_gives_the_same(self, tmp_path: Path) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        again = self.saved_and_loaded(embedder, passages, tmp_path)
        assert embedder.dimension == again.dimension
        texts = passages.corpus.texts()
        np.testing.assert_allclose(embedder.embed_queries(texts), again.embed_queries(texts), atol=self.tolerance)

    def test_pickled_and_copied_it_gives_the_same(self) -> None:
        embedder = self.fitted(self.passages())
        for twin in self.copies(embedder):
            texts = self.passages().corpus.texts()
            np.testing.assert_allclose(twin.embed_queries(texts), embedder.embed_queries(texts), atol=self.tolerance)

    def test_token_vectors_have_shape_and_type(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        if not isinstance(embedder, TokenEmbedder):
            return
        texts = passages.corpus.texts()
        tokens, whole = embedder.embed_document_tokens(texts)
        np.testing.assert_allclose(whole, embedder.embed_documents(texts), atol=self.tolerance)
        for token_vectors in (tokens, embedder.embed_query_tokens(texts)):
            assert token_vectors.ends.dtype == np.int64
            assert token_vectors.ends[0] == 0
            assert len(token_vectors.ends) == len(texts) + 1
            assert (np.diff(token_vectors.ends) >= 0).all()
            assert len(token_vectors.vectors) == token_vectors.ends[-1]
            np.testing.assert_allclose(np.linalg.norm(token_vectors.vectors.astype(np.float32), axis=1), 1.0, atol=2e-3)

    def test_its_tokenizer_cuts_nothing_off(self) -> None:
        embedder = self.fitted(self.passages())
        if embedder.has_tokens:
            tokenizer = embedder.tokenizer()
            assert len(tokenizer.encode("word " * 5000).ids) >= 5000
            assert len(tokenizer.encode("word").ids) < 10
