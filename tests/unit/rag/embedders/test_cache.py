"""Vectors through the store: what is counted, and in what order."""

import numpy as np

from rag.costs import Ledger
from rag.embedders import cache
from rag.embedders.cache import cached_vectors
from rag.store.key_value_cache import KeyValueCache


def test_progress_counts_what_the_store_had_first_and_the_rest_as_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "EMBEDDED_TOGETHER", 2)
    values = KeyValueCache(tmp_path / "values.sqlite", description="test")
    said = []

    def embed(positions, advance):
        for _ in positions:
            advance(1)
        return np.array([[len(texts[position])] for position in positions], dtype=np.float32)

    texts = ["long " * 9, "kept"]
    cached_vectors(texts, embed, values, Ledger(), advance=said.append)
    assert sum(said) == 2
    said.clear()
    texts = ["kept", "a" * 10, "b" * 20, "c" * 30, "kept", "d" * 40]
    vectors = cached_vectors(texts, embed, values, Ledger(), longest_first=True, advance=said.append)
    assert vectors[:, 0].tolist() == [4, 10, 20, 30, 4, 40]
    assert said == [2, 1, 1, 1, 1]  # 40, 30, 20 and 10 of 100 characters: 1.6, 2.8, 3.6 and 4 texts of 4
    said.clear()
    cached_vectors(texts, embed, values, Ledger(), advance=said.append)
    assert said == [6]


def test_progress_of_an_embedder_that_counts_nothing(tmp_path):
    values = KeyValueCache(tmp_path / "values.sqlite", description="test")
    said = []
    texts = [str(number) for number in range(1200)]
    cached_vectors(texts, lambda rows, advance: np.ones((len(rows), 2), "f4"), values, Ledger(), advance=said.append)
    assert (sum(said), len([count for count in said if count])) == (1200, 3)
