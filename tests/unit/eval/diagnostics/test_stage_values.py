"""What each stage does to the headline measure."""

from __future__ import annotations

import numpy as np
import pytest

from rag import Candidates, Corpus, Document, Query
from rag.eval.diagnostics.stage_values import StageValues
from rag.eval.measures.names import parse_measures
from rag.eval.metrics import StageChange


def table(rows):
    positions = np.array(rows)
    return Candidates.from_scores(positions, -np.arange(positions.shape[1], dtype=float) + 0 * positions, positions)


def test_each_stage_is_measured_against_the_one_before():
    corpus = Corpus.from_documents([Document(str(n), f"text {n}") for n in range(3)])
    queries = [Query(f"q{n}", "text") for n in range(4)]
    qrels = {query.id: {"0": 1} for query in queries}
    (measure,) = parse_measures(["RR@10"])
    values = StageValues(["retriever", "stages.0 rerank"], measure)
    for batch in (queries[:2], queries[2:]):
        n = len(batch)
        tables = {"retriever": table([[1, 0, 2]] * n), "stages.0 rerank": table([[0, 1, 2]] * n)}
        values.add(batch, tables, corpus, qrels)
    first, second = values.summary(0)
    assert (first.value, first.change, first.verdict) == (0.5, None, "")
    assert (second.value, second.change) == pytest.approx((1.0, 0.5))
    assert second.verdict == "raised"


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [((0.1, 0.2), "raised"), ((-0.2, -0.1), "lowered"), ((-0.1, 0.2), "no difference that is sure")],
)
def test_a_verdict_needs_an_interval_without_zero(ci95, verdict):
    assert StageChange(name="s", value=0.5, change=sum(ci95) / 2, ci95=ci95).verdict == verdict
