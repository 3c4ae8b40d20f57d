"""Run a sweep: trials by one process or several, sharing one store, then the choice."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ArtifactError, ConfigError, RagError, first_line
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.hpo.execution.early_stopping import hopeless
from rag.hpo.execution.status import Status, reporting
from rag.hpo.execution.study import SweepStudy
from rag.hpo.execution.trial import Bench, Measured
from rag.hpo.execution.trials import Asked, Finished
from rag.hpo.execution.workers import Job, started_by, supervise
from rag.hpo.objectives import COSTS
from rag.hpo.results.choice import best_of
from rag.hpo.results.conclude import conclude
from rag.hpo.results.outputs import check_target, write_outputs
from rag.hpo.results.result import SweepResult
from rag.hpo.sweep import Sweep, read_sweep, sweep_from_config
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.store.store import Store

if TYPE_CHECKING:
    from rag.cluster import Ray

__all__ = ["dataset_source", "tune"]

logger = logging.getLogger("rag.tune")


def tune(
    sweep: Sweep | Pipeline | str | Path | Mapping[str, Any],
    dataset: Dataset | str | Path | None = None,
    *,
    auto: bool = False,
    budget: str | float = "10m",
    scorers: Sequence[Mapping[str, Any]] = (),
    encoders: Sequence[Mapping[str, Any]] = (),
    out: str | Path | None = None,
    store: Store | None = None,
    workers: int = 1,
    execution: Ray | None = None,
    retry_failed: bool = False,
    progress: Progress = no_progress,
    status: Status | None = None,
    **settings: Any,
) -> SweepResult:
    """Try configurations of a pipeline on a dataset's tuning queries, and report the result on its test queries.

    Args:
        sweep: A sweep, its file, or a mapping of a sweep or of a pipeline with distributions. With ``auto`` a pipeline,
            its file, or a mapping.
        dataset: Documents and judged queries; by default those named in the sweep.
        auto: Make the sweep from the pipeline and the data, as ``rag tune --auto`` does.
        budget: With ``auto``: total time, such as ``10m`` or ``90s``.
        scorers: With ``auto``: configurations of scorers for reranking.
        encoders: With ``auto``: configurations of embedders to try in place of the pipeline's.
        out: Folder of the sweep, for trials and results. A stopped sweep resumes from there. None writes nothing.
        store: Cache shared by all trials. None computes everything in each trial.
        workers: Number of processes that run trials; they share the store and the storage. From two on, and with a
            ``trial_timeout``, trials run in separate processes, so a script must guard its main code by
            ``if __name__ == "__main__":``, as required by Python's :mod:`multiprocessing`.
        execution: A cluster that runs whole trials, as many at a time as it has GPUs (or cores), or as ``workers``
            says. Its machines read the trials from ``storage`` and share ``store``; the choice is made here.
        retry_failed: Run failed trials of earlier starts again. Those whose reason has gone are always run again.
        progress: Callback that shows progress.
        status: Context manager used while trials run, with a line every few seconds: trials done, the best so far, time
            left. It replaces the bar of ``progress``.
        settings: Arguments of :class:`~rag.hpo.sweep.Sweep` that replace those of the file or mapping.

    Returns:
        The trials, the choice, and its values on the test queries.

    Raises:
        ConfigError: The sweep is invalid, no configuration could be run, or none meets the constraints.
        DataError: The dataset cannot be used, or lacks queries to tune or test on.
        ArtifactError: The storage holds another sweep, or cannot be used.
    """
    if auto:
        from rag.hpo.auto.run import auto_sweep

        dataset = load_dataset(dataset, store=store) if isinstance(dataset, (str, Path)) else dataset
        sweep = auto_sweep(sweep, dataset, budget=budget, scorers=scorers, encoders=encoders, settings=settings)
    else:
        sweep = _sweep(sweep, settings)
    source = dataset_source(sweep, dataset)
    if out is not None:
        check_target(Path(out))
    if source is None:
        raise ConfigError("must be given, or named in the sweep", parameter="dataset")
    data = source if isinstance(source, Dataset) else load_dataset(source, store=store)
    data.split(sweep.split("test") or "test")
    bench = Bench(sweep, data, store)
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        study = SweepStudy(sweep, bench, folder, retry_failed=retry_failed)
        stack.callback(study.close)
        for remark in study.remarks:
            logger.warning("%s", remark)
        deadline = None if sweep.timeout is None else time.monotonic() + sweep.timeout
        shown = progress if status is None else no_progress
        with (
            _storage_explained(),
            reporting(study, status, deadline),
            shown(f"trying configurations ({data.name})", sweep.n_trials) as advance,
        ):
            bar = _Bar(study, advance)
            bar()
            if workers > 1 or sweep.trial_timeout is not None or execution is not None:
                root, mode = (None, None) if store is None else (store.location, store.mode)
                given = source if execution is None else data
                job = Job(sweep, given, folder, root, mode or "use", deadline, study.name, _run)
                if execution is None:
                    supervise(study, job, workers, bar)
                else:
                    start = started_by(execution, job)
                    supervise(study, job, workers if workers > 1 else execution.size, bar, start)
            else:
                _run(study, bench, deadline, bar)
        if others := study.running():
            logger.warning("%d trials are still run by other processes and are not in the result", len(others))
        result = _concluded(sweep, study, bench, progress)
        if out is not None:
            write_outputs(result, folder)
        return result.checked()


def _concluded(sweep: Sweep, study: SweepStudy, bench: Bench, progress: Progress) -> SweepResult:
    """The result; for a walk with the trial it ended at, and its gain."""
    trials, remarks = study.finished(), study.remarks.messages
    if sweep.sampler.type != "moves":
        return conclude(sweep, trials, bench, progress, remarks)
    from rag.hpo.auto.sampler import Moves
    from rag.hpo.auto.win import won

    assert isinstance(sweep.sampler, Moves)
    goal = sweep.goals[0]
    best = sweep.sampler.walked(sweep.space, goal, trials).best
    notes = [*sweep.sampler.told(sweep.space, goal, trials), *remarks]
    result = conclude(sweep, trials, bench, progress, notes, walked=best)
    return replace(result, win=won(result, bench.dataset, bench.store)) if result.tested else result


@contextmanager
def _storage_explained() -> Iterator[None]:
    """Turn a storage failure into one message; results told before are in the storage."""
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        reason = first_line(error.__cause__ or error)
        raise ArtifactError(f"the sweep's storage failed: {reason}; start the sweep again to resume it") from None


class _Bar:
    """Advances a progress bar to the number of trials."""

    def __init__(self, study: SweepStudy, advance: Callable[[int], None]) -> None:
        self.study, self.advance, self.shown = study, advance, 0

    def __call__(self) -> None:
        done = min(self.study.n_counted, self.study.sweep.n_trials)
        self.advance(done - self.shown)
        self.shown = done


def _run(study: SweepStudy, bench: Bench, deadline: float | None, after: Callable[[], None] = lambda: None) -> None:
    """Run trials until the sweep is complete."""
    while deadline is None or time.monotonic() < deadline:
        asked = study.ask()
        if asked is None:
            return
        _run_one(study, bench, asked)
        after()


def _run_one(study: SweepStudy, bench: Bench, asked: Asked) -> None:
    try:
        measured = bench.measure(asked.pipeline, _judge(study, bench))
    except KeyboardInterrupt:
        study.give_up(asked.trial)
        raise
    except Exception as error:  # any error of a component or library fails only this trial
        reason = str(error).strip().splitlines()[:1]
        kind = "" if isinstance(error, RagError) else f"{type(error).__name__}: "
        study.fail(asked.trial, kind + (reason[0] if reason else "no message"), error)
        logger.warning("trial %d failed: %s%s", asked.number, kind, reason[0] if reason else "")
        logger.debug("trial %d failed", asked.number, exc_info=error)
        return
    study.tell(asked.trial, measured)


def _judge(study: SweepStudy, bench: Bench) -> Callable[[Measured], bool] | None:
    sweep = study.sweep
    if sweep.early_stopping is None:
        return None
    risk = sweep.early_stopping

    def judge(measured: Measured) -> bool:
        gains = [
            [_gain(goal.metric, goal.sign, measured, rival) for goal in sweep.goals]
            for rival in best_of(sweep, study.finished())
        ]
        return hopeless(gains, len(bench.queries), risk=risk, looks=bench.looks)

    return judge


def _gain(metric: str, sign: float, measured: Measured, rival: Finished) -> Any:
    if metric in COSTS:
        return float(sign * (measured.metrics[metric] - rival.metrics[metric]))
    values = measured.values[metric]
    return sign * (values - rival.values[metric][: len(values)])


# -- reading the request ----------------------------------------------------------------------------------------------


def _sweep(source: Sweep | Pipeline | str | Path | Mapping[str, Any], settings: Mapping[str, Any]) -> Sweep:
    if isinstance(source, Pipeline):
        raise ConfigError("a pipeline has nothing to tune: give a sweep, or auto=True", parameter="sweep")
    if isinstance(source, Mapping):
        config = dict(source)
        if "pipeline" not in config:
            config = {"pipeline": config}
        return sweep_from_config(config | dict(settings))
    sweep = source if isinstance(source, Sweep) else read_sweep(source)
    return sweep.with_settings(settings) if settings else sweep


def dataset_source(sweep: Sweep, dataset: Dataset | str | Path | None) -> Dataset | str | Path | None:
    """The dataset given, else the one named in the sweep: a path relative to the sweep's file if it exists."""
    if dataset is not None or sweep.dataset is None:
        return dataset
    beside = sweep.folder / Path(sweep.dataset).expanduser()
    return beside if beside.exists() else sweep.dataset
