"""What holds for every stage."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import PADDING, Candidates
from rag.corpus.passages import Passages
from rag.fitting import FitContext, Upstream
from rag.learning.training import Training
from rag.stage import Stage
from rag.testing.candidates import check_candidates, check_same, stacked_rows
from rag.testing.component import ComponentConformance
from rag.testing.data import QUERIES
from rag.types import Query

__all__ = ["StageConformance"]


class StageConformance(ComponentConformance):
    """What holds for every stage."""

    @abstractmethod
    def make(self) -> Stage:
        raise NotImplementedError

    def fitted(self, passages: Passages) -> Any:
        """A stage fitted on passages, and on judged training queries when it learns."""
        component = self.make()
        context = FitContext(passages.corpus, passages, self.training())
        context.following(Upstream(lambda batch: self.candidates(passages, len(batch)), None))
        component.prepare(context)
        context.fit(component)
        return component

    def training(self) -> Training:
        """Judged queries to learn from: three documents are relevant to each, whatever it asks."""
        queries = [Query(f"t{index}", QUERIES[index % len(QUERIES)].text) for index in range(30)]
        return Training(queries, {query.id: dict.fromkeys(("cat", "fish", "tree"), 1) for query in queries})

    def candidates(self, passages: Passages, n_queries: int | None = None) -> Candidates:
        """What the stage is given: all documents for the first query, fewer for others, none for the last."""
        n, m = n_queries or len(self.queries()), len(passages.corpus)
        rng = np.random.default_rng(7)
        scores = rng.normal(size=(n, len(passages))).astype(np.float32)
        keys = np.broadcast_to(np.arange(len(passages)), scores.shape)
        keep = np.arange(n)[:, None] * m < rng.integers(1, n * m, size=scores.shape)
        keep[0], keep[-1] = True, False
        owners = np.where(keep, passages.document[keys], PADDING)
        return Candidates.from_scores(owners, scores, keys).best_per_document(m)

    def test_it_keeps_the_contract_of_candidates(self) -> None:
        for chunked in (False, True):
            passages = self.passages(chunked=chunked)
            candidates = self.candidates(passages)
            processed = self.fitted(passages).process(QueryBatch(self.queries()), candidates)
            check_candidates(processed, passages, len(self.queries()), self.make().limit)
            assert processed.counts[0] > 0

    def test_one_query_at_a_time_gives_the_same(self) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        alone = []
        for row, query in enumerate(self.queries()):
            only = slice(row, row + 1)
            mine = Candidates(candidates.documents[only], candidates.scores[only], candidates.passages[only])
            alone.append(stage.process(QueryBatch([query]), mine))
        check_same(stage.process(QueryBatch(self.queries()), candidates), stacked_rows(alone))

    def test_it_leaves_what_it_is_given_as_it_was(self) -> None:
        passages = self.passages()
        candidates = self.candidates(passages)
        before = [table.copy() for table in (candidates.documents, candidates.scores, candidates.passages)]
        self.fitted(passages).process(QueryBatch(self.queries()), candidates)
        for old, new in zip(before, (candidates.documents, candidates.scores, candidates.passages), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_saved_and_loaded_it_gives_the_same(self, tmp_path: Path) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        again = self.saved_and_loaded(stage, passages, tmp_path)
        expected, actual = (fitted.process(QueryBatch(self.queries()), candidates) for fitted in (stage, again))
        assert expected.documents.tolist() == actual.documents.tolist()
        assert expected.scores.tolist() == actual.scores.tolist()

    def test_pickled_and_copied_it_gives_the_same(self) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        expected = stage.process(QueryBatch(self.queries()), candidates)
        for twin in self.copies(stage):
            check_same(twin.process(QueryBatch(self.queries()), candidates), expected)

    def test_nothing_in_gives_nothing_out(self) -> None:
        stage = self.fitted(self.passages())
        for batch in (QueryBatch([]), QueryBatch(self.queries())):
            processed = stage.process(batch, Candidates.empty(len(batch)))
            assert (len(processed), int(processed.counts.sum())) == (len(batch), 0)
