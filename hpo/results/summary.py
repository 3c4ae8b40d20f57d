"""The content of ``sweep.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rag.hpo.results.importance import importance
from rag.hpo.results.outcome import SweepOutcome
from rag.hpo.results.tested import Tested, intervals_of

__all__ = ["summary"]


def summary(result: SweepOutcome) -> dict[str, Any]:
    """A sweep's result as JSON values: the choice, its test, and trial counts."""
    sweep = result.sweep
    states: dict[str, int] = {}
    for trial in result.trials:
        states[trial.state] = states.get(trial.state, 0) + 1
    ran = [trial for trial in result.trials if trial.state != "repeated"]
    matter = importance(sweep, result.trials)
    return {
        "dataset": dict(result.dataset),
        "objectives": [str(goal) for goal in sweep.goals],
        "constraints": sweep.constraints,
        "sampler": sweep.sampler.spec.to_config(),
        "seed": sweep.seed,
        "choice": sweep.choice,
        "trials": states,
        "seconds": sum(trial.seconds for trial in ran),
        "seconds_alone": sum(trial.alone for trial in ran),
        "query_searches": {
            "done": sum(trial.n_queries for trial in ran),
            "all": result.dataset["n_tune"] * sum(trial.state in ("complete", "stopped") for trial in ran),
        },
        "best": None
        if result.best is None
        else {
            "trial": result.best.number,
            "parameters": dict(result.best.point),
            "tuned": {name: result.best.metrics[name] for name in sweep.metrics},
        },
        "tested": [_test_json(tested) for tested in result.tested],
        "baseline": None if result.baseline is None else _test_json(result.baseline),
        "retested": [asdict(retest) for retest in result.retested],
        "importance": {
            "shares": {parameter.name: share for parameter, share in matter.shares},
            "not_told": matter.reason,
        },
        "verdict": result.verdict,
        "win": None if result.win is None else asdict(result.win),
        "problem": result.problem,
        "notes": list(result.notes),
    }


def _test_json(tested: Tested) -> dict[str, Any]:
    return {
        "trial": tested.trial,
        "metrics": dict(tested.metrics),
        "measures": intervals_of(tested.evaluation),
        "against_baseline": {name: comparison.to_dict() for name, comparison in tested.against.items()},
    }
