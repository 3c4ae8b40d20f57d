"""What retrievers and stages say of themselves, whatever their arguments are called."""

from __future__ import annotations

from rag import Document, Pipeline, Stage, Threshold
from rag.eval.diagnostics.cuts import Cuts
from rag.eval.diagnostics.exact import last_scorer
from rag.rerankers import CUR, GraphAdaptive, Rerank
from rag.retrievers import BM25, Hybrid
from tests.fakes import CountingScorer, TableFactors, WordEmbedder


class Judge(Stage):
    """A plug-in whose arguments have names of their own."""

    type = "fake_judge"
    scores_head = True

    def __init__(self, *, judge: CountingScorer, calls: int = 7, most: int = 3) -> None:
        self.judge = judge
        self.calls = calls
        self.most = most

    @property
    def limit(self):
        return self.most

    @property
    def spends(self):
        return self.judge, self.calls

    def process(self, batch, candidates):
        return candidates.head(self.most)


def test_limits_are_the_arguments_called_top_k():
    assert [BM25(top_k=4).limit, Hybrid(retrievers=[BM25(), BM25(k1=2)], top_k=5).limit] == [4, 5]
    assert [Threshold(min_score=1).limit, Threshold(min_score=1, top_k=6).limit] == [None, 6]
    scorer = CountingScorer()
    stages = [
        Rerank(scorer=scorer, budget=9, top_k=2),
        GraphAdaptive(scorer=scorer, embedder=WordEmbedder(), budget=9, top_k=2),
        CUR(scorer=scorer, factors=TableFactors(), budget=9, rounds=3, top_k=2),
    ]
    assert [(stage.limit, stage.spends[0] is stage.scorer, stage.spends[1]) for stage in stages] == [(2, True, 9)] * 3
    assert Threshold(min_score=1).spends is None


def test_a_stage_with_other_names_is_cut_planned_and_compared_by_what_it_says():
    pipeline = Pipeline(retriever=BM25(top_k=20), stages=[Judge(judge=CountingScorer()), Threshold(min_score=0)])
    pipeline.fit([Document("a", "cat")])
    assert last_scorer(pipeline) is pipeline.stages[0].judge
    limits = Cuts(pipeline)._limits
    assert (limits["retriever"].top_k, limits["retriever"].budget) == (20, None)
    judge = limits["stages.0 fake_judge"]
    assert (judge.budget, judge.top_k, judge.head) == (7, 3, True)
    assert limits["stages.1 threshold"].thresholds == pipeline.stages[1].threshold_settings
