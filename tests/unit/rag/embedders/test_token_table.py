"""Token vectors in fewer bytes: how close they stay, and that tables grow and shrink."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.embedders.base import TokenVectors
from rag.embedders.token_table import TokenTable

STORAGES = ["float16", "int8", "residual4", "residual2"]
LEAST_COSINE = {"float16": 0.99999, "int8": 0.999, "residual4": 0.97, "residual2": 0.85}
BYTES = {"float16": 64, "int8": 36, "residual4": 20, "residual2": 12}


def tokens_of(lengths, d=32, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(sum(lengths), d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TokenVectors(vectors, np.cumsum([0, *lengths]).astype(np.int64))


@pytest.mark.parametrize("storage", STORAGES)
def test_vectors_stay_close(storage):
    tokens = tokens_of([50] * 40)
    table = TokenTable.encode(tokens, storage)
    decoded = table.vectors(slice(None))
    cosines = (decoded * tokens.vectors).sum(axis=1) / np.linalg.norm(decoded, axis=1)
    assert cosines.mean() > LEAST_COSINE[storage]
    assert decoded.dtype == np.float32
    of_tokens = sum(len(array) * array[:1].nbytes for array in table.arrays.values() if len(array) == 2000)
    assert of_tokens / 2000 == BYTES[storage]
    np.testing.assert_array_equal(table.vectors(np.array([7, 3])), decoded[[7, 3]])


@pytest.mark.parametrize("storage", STORAGES)
@settings(max_examples=15)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_tables_are_cut_joined_saved(storage, tmp_path_factory, lengths, data):
    tokens = tokens_of(lengths)
    table = TokenTable.encode(tokens, storage)
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8)), dtype=np.int64)
    part = table.take(rows)
    assert np.diff(part.ends).tolist() == [lengths[row] for row in rows]
    every = table.vectors(slice(None))
    expected = [every[table.ends[row] : table.ends[row + 1]] for row in rows]
    np.testing.assert_array_equal(part.vectors(slice(None)), np.concatenate([every[:0], *expected]))

    again = table.joined(TokenTable.encode(tokens, storage, like=table))
    assert len(again) == 2 * len(table)
    np.testing.assert_array_equal(again.vectors(slice(None)), np.concatenate([every, every]))

    folder = tmp_path_factory.mktemp("table")
    again.save(folder)
    loaded = TokenTable.load(folder, storage)
    np.testing.assert_array_equal(loaded.vectors(slice(None)), again.vectors(slice(None)))
    assert loaded.ends.tolist() == again.ends.tolist()
