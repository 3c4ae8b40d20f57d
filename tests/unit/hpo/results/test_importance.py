"""Which parameter matters: told where trials show it, else why not."""

from __future__ import annotations

import numpy as np
import pytest

from rag.hpo import Categorical, FloatRange
from rag.hpo.execution.trials import Finished
from rag.hpo.results.importance import importance
from rag.hpo.sweep import sweep_from_config

SWEEP = sweep_from_config(
    {
        "pipeline": {
            "type": "pipeline",
            "retriever": {
                "type": "bm25",
                "k1": FloatRange(low=0.1, high=3.0, name="k1"),
                "top_k": Categorical(choices=[5, 10, 20], name="k"),
            },
        }
    }
)


def trials(score, n, seed=0):
    rng = np.random.default_rng(seed)
    points = [{"k1": float(rng.uniform(0.1, 3.0)), "k": int(rng.choice([5, 10, 20]))} for _ in range(n)]
    return [Finished(i, "complete", point, {"nDCG@10": score(point, rng)}) for i, point in enumerate(points)]


def test_what_matters_is_told():
    importances = importance(SWEEP, trials(lambda point, rng: point["k"] / 20 + rng.normal(0, 0.02), 20))
    assert [parameter.name for parameter, _ in importances.shares] == ["k", "k1"]
    assert 0.9 < importances.shares[0][1] <= 1.0
    assert 1.0 == pytest.approx(sum(share for _, share in importances.shares))
    assert importances.reason == ""


def test_few_trials_tell_nothing():
    importances = importance(SWEEP, trials(lambda point, rng: point["k"] / 20, 9))
    assert ((), "9 complete trials are too few: it takes 10") == (importances.shares, importances.reason)


def test_noise_tells_nothing():
    told = [bool(importance(SWEEP, trials(lambda p, rng: rng.normal(), 20, seed=seed)).shares) for seed in range(200)]
    assert sum(told) / 200 < 0.2
    importances = importance(SWEEP, trials(lambda point, rng: rng.normal(), 20))
    assert "does not predict nDCG@10 of held-out trials" in importances.reason


def test_equal_trials_tell_nothing():
    assert importance(SWEEP, trials(lambda p, rng: 0.5, 20)).reason == "all trials are equally good in nDCG@10"
