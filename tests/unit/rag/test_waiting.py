"""Waiting for another process is no work of this one, and it is said."""

import logging
import threading
import time

import numpy as np

from rag.costs import Ledger
from rag.embedders.cache import cached_vectors
from rag.progress import loading
from rag.store import store as stores
from rag.store.store import Store


def test_seconds_of_another_are_booked_once(tmp_path, monkeypatch, caplog):
    """Two processes, here two stores on one folder, want the same vectors; the second waits for the first."""
    monkeypatch.setattr(stores, "_SILENT", 0.05)
    begun = threading.Event()

    def slow(positions, advance):
        begun.set()
        time.sleep(0.8)
        return np.ones((len(positions), 2), dtype=np.float32)

    def fit(ledger, embed):
        with Store(tmp_path / "store") as store, ledger.stage("fit"):
            values = store.cache("embeddings", "a" * 16, description="test")
            return cached_vectors(["a", "b"], embed, values, ledger)

    first, second = Ledger(), Ledger()
    other = threading.Thread(target=fit, args=(first, slow))
    with caplog.at_level(logging.WARNING, logger="rag.store"):
        other.start()
        begun.wait()
        vectors = fit(second, lambda positions, advance: 1 / 0)
        other.join()
    assert vectors.tolist() == [[1, 1], [1, 1]]
    assert 0.8 <= first.total.seconds < 1.5
    assert 0.8 <= second.total.seconds < 1.5  # what the first took, and not the waiting for it too
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for another process that computes the same ({'a' * 12})"
    ]


def test_loading_a_model_is_no_cost_of_what_needs_it_first():
    ledger = Ledger()
    with ledger.stage("retriever"):
        with loading("a model"):
            time.sleep(0.5)
        time.sleep(0.1)
    assert 0.1 <= ledger.total.seconds < 0.4
