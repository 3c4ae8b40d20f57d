"""The files of a sweep's folder.

===================== ==============================================================================================
``study.journal``     the trials, in Optuna's journal storage (unless another storage was named)
``best.yaml``         the chosen pipeline with all defaults written out
``pareto/*.yaml``     with several objectives: the pipelines of the front, best in the first objective first
``trials.parquet``    one row per trial: state, parameters, metrics, seconds, reason of failure
``sweep.json``        the choice, on the tuning and test queries, against the baseline
``report.html``       the report, one self-contained HTML file
===================== ==============================================================================================
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import cannot_be
from rag.hpo.results.outcome import SweepOutcome
from rag.hpo.results.report import render_report
from rag.hpo.results.summary import summary
from rag.metadata import strict_json
from rag.store.writing import check_place, replace_file, replaced_file

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_target", "trials_table", "write_outputs"]

_OTHERS = ("config.yaml", "manifest.json", "metrics.json")
"""Files that identify a run or a saved pipeline."""


def check_target(folder: Path) -> None:
    """Refuse to write a sweep over other files.

    Raises:
        ArtifactError: The path is a file, or a folder with a run, a saved pipeline or another report.
    """
    check_place(
        folder, "sweep", lambda names: names & ({*_OTHERS} if "sweep.json" in names else {*_OTHERS, "report.html"})
    )


def write_outputs(result: SweepOutcome, folder: Path) -> None:
    """Write all files but the storage, each atomically, replacing those of an earlier run.

    Raises:
        ArtifactError: The folder cannot be written.
    """
    with cannot_be("written", folder):
        _replace_parquet(trials_table(result), folder / "trials.parquet")
        replace_file(
            folder / "sweep.json", json.dumps(strict_json(summary(result)), indent=2, ensure_ascii=False) + "\n"
        )
        for old in (folder / "best.yaml", *sorted((folder / "pareto").glob("*.yaml"))):
            old.unlink(missing_ok=True)
        if result.best is not None:
            replace_file(folder / "best.yaml", result.pipeline.to_yaml())
        if len(result.sweep.goals) > 1 and result.tested:
            (folder / "pareto").mkdir(exist_ok=True)
            for position, tested in enumerate(result.tested):
                replace_file(folder / "pareto" / f"{position:02}-trial-{tested.trial}.yaml", tested.pipeline.to_yaml())
        replace_file(folder / "report.html", render_report(result))


def trials_table(result: SweepOutcome) -> pa.Table:
    """Make a table with one row per trial; parameters that do not exist in a trial are null."""
    import pyarrow as pa

    parameters = [parameter.name for parameter in result.sweep.space.parameters]
    metrics = sorted({name for trial in result.trials for name in trial.metrics})
    columns: dict[str, Any] = {
        "number": pa.array([trial.number for trial in result.trials], pa.int64()),
        "state": pa.array([trial.state for trial in result.trials], pa.string()),
        "feasible": pa.array([trial.feasible for trial in result.trials], pa.bool_()),
        "n_queries": pa.array([trial.n_queries for trial in result.trials], pa.int64()),
        "seconds": pa.array([trial.seconds for trial in result.trials], pa.float64()),
        "seconds_alone": pa.array([trial.alone for trial in result.trials], pa.float64()),
        "texts_wanted": pa.array([trial.texts_wanted for trial in result.trials], pa.int64()),
        "texts_missing": pa.array([trial.texts_missing for trial in result.trials], pa.int64()),
        "reason": pa.array([trial.reason for trial in result.trials], pa.string()),
    }
    for name in metrics:
        columns[f"metric.{name}"] = pa.array([trial.metrics.get(name) for trial in result.trials], pa.float64())
    for name in parameters:
        values = [trial.point.get(name) for trial in result.trials]
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and not kinds <= {int, float}:
            values = [None if value is None else json.dumps(value) for value in values]
        columns[f"parameter.{name}"] = pa.array(values)
    return pa.table(columns)


def _replace_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with replaced_file(path) as aside:
        pq.write_table(table, aside)
