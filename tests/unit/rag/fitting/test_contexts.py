"""What components are given to fit themselves, and to keep up with documents that change."""

from __future__ import annotations

import numpy as np
import pytest

from rag import LSA, Corpus, Document, FitContext, ModelError, Passages, Pipeline, Store
from rag.fitting import UpdateContext
from rag.retrievers import BM25, Dense
from tests.fakes import WordEmbedder

DOCUMENTS = [Document("a", "cat dog"), Document("b", "cat fish"), Document("c", "bird")]


def passages(*documents):
    return Passages.whole(Corpus.from_documents(documents or DOCUMENTS))


def test_over_other_passages_nothing_is_taken_for_what_is_fitted_here(tmp_path):
    table, keys = passages(), passages(Document("k", "cat"))
    context = FitContext(table.corpus, table, store=Store(tmp_path))
    here, there = LSA(dim=2), LSA(dim=2)
    context.fit(here)
    inner = context.for_passages(keys)
    assert len(inner.embed_passages(WordEmbedder())) == 1
    assert (inner.store is context.store, inner.ledger is context.ledger) == (True, True)
    assert context.for_passages(keys, stored=False).store is None
    shared = context.for_passages(keys, shared=[here])
    shared.fit(there)
    assert there._components is here._components


def test_an_update_is_never_found_in_the_store(tmp_path):
    table = passages()
    BM25().fit(FitContext(table.corpus, table))
    context = FitContext(table.corpus, table, store=Store(tmp_path))
    context.fit(BM25())
    assert (context.is_cached(BM25()), context.n_kept) == (True, 0)
    update = UpdateContext(table.corpus, table, store=Store(tmp_path), kept=np.arange(2))
    assert (update.is_cached(BM25()), update.n_kept) == (False, 2)


def test_what_is_over_kept_passages_is_an_update_and_what_is_over_new_ones_is_not():
    table, keys = passages(), passages(Document("k", "cat"))
    update = UpdateContext(table.corpus, table, kept=np.arange(2), metadata_changed=True)
    again = update.for_updated_passages(keys, np.arange(1))
    assert (again.n_kept, again.metadata_changed, type(update.for_passages(keys))) == (1, True, FitContext)
    component = BM25()
    again.keep(component)
    assert update.is_kept(component)
    assert not update.is_kept(BM25())


def test_identical_components_are_kept_together():
    table = passages()
    lsa, twin = LSA(dim=2), LSA(dim=2)
    FitContext(table.corpus, table).fit(lsa)
    update = UpdateContext(table.corpus, table, kept=np.arange(3))
    update.fit(lsa)
    update.fit(twin)
    assert (update.is_kept(lsa), update.is_kept(twin)) == (True, True)
    assert twin._components is lsa._components


def test_the_state_of_a_pipeline_is_replaced_as_a_whole():
    class Failing(WordEmbedder):
        type = "fake_failing"
        fails = False

        def embed_documents(self, texts, *, advance=None):
            if type(self).fails:
                raise ModelError("no")
            return super().embed_documents(texts, advance=advance)

    pipeline = Pipeline(retriever=Dense(embedder=Failing())).fit(DOCUMENTS)
    before = pipeline.fitted
    Failing.fails = True
    with pytest.raises(ModelError):
        pipeline.add([Document("d", "cow")])
    assert pipeline.fitted is before
    Failing.fails = False
    pipeline.add([Document("d", "cow")])
    assert (len(before.passages), len(pipeline.passages)) == (3, 4)
    Failing.fails = True
    with pytest.raises(ModelError):
        pipeline.fit(DOCUMENTS[:2])
    assert pipeline.reused == ()
    with pytest.raises(Exception, match="has not been fitted"):
        pipeline.search("cat")
