"""What holds for every retriever."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np

from rag.batch import QueryBatch
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.errors import NotFittedError
from rag.fitting import FitContext, UpdateContext
from rag.stage import Retriever
from rag.testing.candidates import check_candidates, check_same, stacked_rows
from rag.testing.component import ComponentConformance
from rag.testing.data import DOCUMENTS, pieces

__all__ = ["RetrieverConformance"]


class RetrieverConformance(ComponentConformance):
    """What holds for every retriever."""

    @abstractmethod
    def make(self) -> Retriever:
        raise NotImplementedError

    def test_it_keeps_the_contract_of_candidates(self) -> None:
        for chunked in (False, True):
            passages = self.passages(chunked=chunked)
            candidates = self.fitted(passages).retrieve(QueryBatch(self.queries()))
            check_candidates(candidates, passages, len(self.queries()), self.make().limit)
            assert candidates.counts.sum() > 0

    def test_one_query_at_a_time_finds_the_same(self) -> None:
        passages = self.passages(chunked=True)
        retriever = self.fitted(passages)
        alone = [retriever.retrieve(QueryBatch([query])) for query in self.queries()]
        check_same(retriever.retrieve(QueryBatch(self.queries())), stacked_rows(alone))

    def test_it_is_fitted_again_on_other_documents(self) -> None:
        passages, first = self.passages(), self.passages(chunked=True)
        retriever = self.fitted(first)
        retriever.fit(FitContext(passages.corpus, passages, self.training()))
        expected = self.fitted(passages).retrieve(QueryBatch(self.queries()))
        check_same(retriever.retrieve(QueryBatch(self.queries())), expected)

    def test_saved_and_loaded_it_finds_the_same(self, tmp_path: Path) -> None:
        passages = self.passages(chunked=True)
        retriever = self.fitted(passages)
        again = self.saved_and_loaded(retriever, passages, tmp_path)
        expected, actual = (fitted.retrieve(QueryBatch(self.queries())) for fitted in (retriever, again))
        assert expected.documents.tolist() == actual.documents.tolist()
        # A model that embeds the queries twice may differ in the last bit.
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=1e-5, atol=1e-6)
        assert expected.passages.tolist() == actual.passages.tolist()

    def test_pickled_and_copied_it_finds_the_same(self) -> None:
        retriever = self.fitted(self.passages(chunked=True))
        expected = retriever.retrieve(QueryBatch(self.queries()))
        for twin in self.copies(retriever):
            check_same(twin.retrieve(QueryBatch(self.queries())), expected)

    def test_brought_up_to_date_it_finds_what_is_there(self) -> None:
        corpus, last = self.corpus(), len(self.corpus()) - 1
        old = pieces(corpus.rows(np.arange(last)))
        marked = old.with_corpus(old.corpus.with_alive(np.arange(last) > 0))  # the first is deleted, the last is new
        grown = marked.followed_by(pieces(corpus.rows(np.array([last]))))
        retriever = self.fitted(old)
        for passages, remaining in ((grown, np.arange(len(old))), (grown.compacted(), grown.living)):
            assert remaining is not None
            context = UpdateContext(passages.corpus, passages, kept=remaining)
            retriever.prepare(context)
            context.fit(retriever)
            candidates = retriever.retrieve(QueryBatch(self.queries()))
            check_candidates(candidates, passages, len(self.queries()), self.make().limit)
            ids = [passages.corpus.ids(row[row >= 0]) for row in candidates.documents]
            assert not any(corpus.ids([0])[0] in row for row in ids)
            assert any(corpus.ids([last])[0] in row for row in ids)

    def test_no_queries_find_nothing(self) -> None:
        candidates = self.fitted(self.passages()).retrieve(QueryBatch([]))
        assert len(candidates) == 0

    def test_a_corpus_of_one_document(self) -> None:
        passages = Passages.whole(Corpus.from_documents([DOCUMENTS[0]]))
        candidates = self.fitted(passages).retrieve(QueryBatch(self.queries()[:1]))
        check_candidates(candidates, passages, 1)
        assert candidates.documents.tolist() == [[0]]

    def test_asked_before_it_is_fitted_it_says_so(self) -> None:
        try:
            self.make().retrieve(QueryBatch(self.queries()))
        except NotFittedError:
            return
        raise AssertionError("no NotFittedError")
