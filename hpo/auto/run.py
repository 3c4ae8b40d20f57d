"""``tune(pipeline, dataset, auto=True)``: derive a sweep of promising changes from a pipeline, and run it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag.errors import ConfigError
from rag.eval.datasets.base import Dataset
from rag.hpo.auto.data import FOLDS, facts_of
from rag.hpo.auto.moves import derive
from rag.hpo.auto.sampler import TRIALS_SHARE, Moves
from rag.hpo.objectives import ANSWERS, COSTS, parse_objectives
from rag.hpo.sweep import Sweep, sweep_from_config
from rag.pipeline import Pipeline

__all__ = ["auto_config", "auto_sweep", "seconds_of", "written"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(budget: str | float) -> float:
    """Seconds from ``10m``, ``90s``, ``1h``; a number, which is not a text, is one of seconds.

    Raises:
        ConfigError: It is none of these (a text without a unit says too little), or not above 0.
    """
    if isinstance(budget, (int, float)):
        budget = f"{budget:f}s"
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", budget)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"must be a time such as 90s, 10m or 1h, got '{budget}'", parameter="budget")
    return seconds


def auto_config(
    pipeline: Pipeline,
    dataset: Dataset,
    *,
    budget: str | float = "10m",
    scorers: Sequence[Mapping[str, Any]] = (),
    encoders: Sequence[Mapping[str, Any]] = (),
    **settings: Any,
) -> dict[str, Any]:
    """The sweep that ``rag tune --auto`` runs: everything worth trying on a pipeline, given the data and the time.

    Args:
        pipeline: The pipeline; the space begins with it, as it is.
        dataset: Documents and judged questions.
        budget: Time for all of it, such as ``10m``.
        scorers: Configurations of scorers to try reranking with.
        encoders: Configurations of embedders to try in place of the pipeline's.
        settings: Further arguments of :class:`~rag.hpo.sweep.Sweep`, such as ``objectives`` and ``constraints``.

    Raises:
        ConfigError: The budget cannot be read, the objective is not a single measure, or nothing can be tuned.
        DataError: There is nothing to tune on, or nothing to test on.
    """
    seconds = seconds_of(budget)
    goals = parse_objectives(settings.get("objectives", ["nDCG@10"]))
    if len(goals) > 1 or goals[0].metric in COSTS or goals[0].metric in ANSWERS:
        named = ", ".join(map(str, goals))
        raise ConfigError(f"must be one measure of ranked lists, such as nDCG@10, got '{named}'", parameter="objective")
    facts = facts_of(dataset)
    derived = derive(
        pipeline, facts, scorers=[dict(name) for name in scorers], encoders=[dict(name) for name in encoders]
    )
    sampler = Moves(
        gains=derived.opened.gains,
        costs=dict(derived.opened.costs),
        budget=round(seconds * TRIALS_SHARE, 3),
        left_out=derived.left_out,
    )
    return {
        "type": "sweep",
        "pipeline": derived.config,
        "splits": {"tune": facts.split, "test": "test"},
        "sampler": sampler.spec.to_config(),
        "n_trials": _most(derived.config),
        "timeout": seconds,
        "folds": FOLDS,
        "name": "auto",
    } | settings


def auto_sweep(
    pipeline: Any,
    dataset: Dataset | None,
    *,
    budget: str | float,
    scorers: Sequence[Mapping[str, Any]],
    encoders: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> Sweep:
    """The same of a pipeline, its file or its configuration.

    Raises:
        ConfigError: It is no pipeline, or there is no dataset.
    """
    if dataset is None:
        raise ConfigError("missing: name a dataset", parameter="dataset")
    if isinstance(pipeline, Mapping):
        pipeline = Pipeline.from_config(dict(pipeline))
    elif isinstance(pipeline, (str, Path)):
        pipeline = Pipeline.from_yaml(pipeline)
    if not isinstance(pipeline, Pipeline):
        raise ConfigError("auto=True takes a pipeline, its file or its configuration", parameter="sweep")
    return sweep_from_config(
        auto_config(pipeline, dataset, budget=budget, scorers=scorers, encoders=encoders, **settings)
    )


def _most(node: Any) -> int:
    """More trials than the walk can ask for."""
    if isinstance(node, Mapping):
        own = len(node.get("choices", node.get("options", ("", "")))) * 3 if "tune" in node else 0
        return 1 + own + sum(_most(value) for value in node.values())
    return sum(_most(value) for value in node) if isinstance(node, list) else 0


def written(config: Mapping[str, Any], dataset: str | Path | None) -> str:
    """The sweep of :func:`auto_config` as a file to edit; repeated parts are written once."""
    from rag.config.writing import dump

    head = {"type": "sweep", "dataset": None if dataset is None else str(dataset)}
    sampler = {name: value for name, value in config["sampler"].items() if value}
    return dump(head | {"objectives": ["nDCG@10"]} | dict(config) | {"sampler": sampler}, aliases=True)
