"""The sweep: a pipeline in which values are distributions, and the objectives to choose by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from rag.arguments import refuses_unknown
from rag.component import Component
from rag.config import build
from rag.config.source import Node, extended, node_from_python, read_source
from rag.errors import ConfigError, Mistake, Mistakes, did_you_mean
from rag.hpo.objectives import ANSWERS, COSTS, Objective, parse_metric, parse_objectives
from rag.hpo.samplers.base import Sampler
from rag.hpo.samplers.optuna import TPE
from rag.hpo.space.constraints import Bound
from rag.hpo.space.distributions import Scalar
from rag.hpo.space.space import Space
from rag.hpo.storage_url import check_url
from rag.registry import component_class, types_of

__all__ = ["Sweep", "check_sweep", "read_sweep"]


class Sweep(Component):
    """Tries pipelines of a search space, and chooses the best.

    Args:
        pipeline: A pipeline in which any value may be a distribution; ``extends: FILE`` takes the rest from a pipeline
            file.
        objectives: The metrics to optimize: measures as ir_measures spells them; of written answers ``token_recall``,
            ``token_f1``, ``exact_match``; ``latency_p50_ms``, ``latency_p95_ms``, ``scorer_calls``, ``llm_calls``,
            ``llm_tokens``, ``texts_embedded`` (per query), ``index_bytes``. Measures are maximized and costs minimized
            unless stated otherwise (``minimize AP``). With several, the result is a Pareto front.
        constraints: Constraints between parameters (``overlap < size``), or on metrics (``latency_p95_ms < 50``).
        sampler: The sampler that decides which configuration to try next; its name, or a mapping with arguments.
        n_trials: Number of configurations to try. Repeated ones reuse their result and do not count.
        timeout: Seconds after which no trial is started.
        trial_timeout: Seconds after which a trial is ended and counts as failed. Trials then run in separate processes,
            which can be ended at any moment. None sets no limit.
        max_failed: Share of the texts requested from a language model (summaries, rewritten queries, answers) that may
            be missing in any step of a trial; above it the trial fails. The default allows occasional refusals, which
            are normal for a model, but no outage.
        seed: Seed of all random draws.
        dataset: A folder, a dataset file, or a name: see ``rag datasets``.
        splits: The splits to ``tune`` on and to ``test`` the result on. By default ``dev``, or
            ``train`` where there is no ``dev``, and ``test``.
        folds: Number of cross-validation folds for a pipeline that learns, when tuning on ``train``.
        baseline: The pipeline that the result is compared with: a file, or a mapping. By default the point of the space
            with all defaults.
        enqueue: Points to try first, values by parameter; others are as in the baseline. The baseline's own point
            always comes first.
        early_stopping: Risk, such as .05, of stopping a trial that would become the best: queries are searched in
            growing random blocks, and a trial stops when a test shows that it will not reach the best one. None
            searches all queries in all trials.
        choice: ``best`` on the tuning queries; or ``one_standard_error``, the cheapest not worse than the best by more
            than the standard error of their difference, which overfits small sets of queries less.
        retest: Number of best trials to measure again on queries set aside, and choose by these. 0 for none.
        fresh: Share of the tuning queries that is set aside for ``retest``.
        ignore_identical_ids: Leave out documents whose id is the query's (in ArguAna the queries are documents).
        name: Name of the sweep in its storage.
        storage: The URL of the storage of trials: ``journal:FILE``, ``sqlite:///FILE`` (one process), ``postgresql://...``,
            ``mysql://...``. By default a journal file in the output folder.
    """

    kind: ClassVar[str] = "sweep"
    type = "sweep"

    def __init__(
        self,
        *,
        pipeline: dict[str, Any],
        objectives: Sequence[str] = ("nDCG@10",),
        constraints: Sequence[str] = (),
        sampler: Sampler = TPE(),  # noqa: B008 - a default component is cloned for each instance
        n_trials: Annotated[int, Field(ge=1)] = 50,
        timeout: Annotated[float, Field(gt=0)] | None = None,
        trial_timeout: Annotated[float, Field(gt=0)] | None = None,
        max_failed: Annotated[float, Field(ge=0, le=1)] = 0.05,
        seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0,
        dataset: str | None = None,
        splits: dict[Literal["tune", "test"], str] | None = None,
        folds: Annotated[int, Field(ge=2)] = 5,
        baseline: str | dict[str, Any] | None = None,
        enqueue: Sequence[dict[str, Scalar]] = (),
        early_stopping: Annotated[float, Field(gt=0, lt=0.5)] | None = None,
        choice: Literal["best", "one_standard_error"] = "best",
        retest: Annotated[int, Field(ge=0)] = 0,
        fresh: Annotated[float, Field(gt=0, lt=1)] = 0.3,
        ignore_identical_ids: bool = False,
        name: Annotated[str, Field(min_length=1)] = "sweep",
        storage: str | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.objectives = objectives
        self.goals = parse_objectives(objectives)
        self.constraints = list(constraints)
        self.sampler = sampler
        self.n_trials = n_trials
        self.timeout = timeout
        self.trial_timeout = trial_timeout
        self.max_failed = max_failed
        self.seed = seed
        self.dataset = dataset
        self.splits = splits
        self.folds = folds
        self.baseline = baseline
        self.enqueue = list(enqueue)
        self.early_stopping = early_stopping
        self.choice = choice
        self.retest = retest
        self.fresh = fresh
        self.ignore_identical_ids = ignore_identical_ids
        self.name = name
        self.storage = storage
        self.bounds = _bounds(self.constraints)
        self.folder = Path()
        """The folder of the sweep's file, to which paths in it are relative."""
        self.written: Node | None = None
        """The parsed tree, with the location of each value."""
        check_url(storage)
        if len(self.goals) > 1 and (choice != "best" or retest):
            raise ConfigError(
                "several objectives give a front and no choice: leave out 'choice' and 'retest'",
                parameter="choice" if choice != "best" else "retest",
            )

    @classmethod
    def _refine_schema(cls, schema: dict[str, Any]) -> None:
        properties = schema["properties"]
        properties["pipeline"] = {
            "allOf": [{"$ref": "#/definitions/open.pipeline.pipeline"}],
            "description": properties["pipeline"].get("description", ""),
        }
        sampler = properties["sampler"]
        names = {"type": "string", "enum": types_of("sampler"), "description": "With its default arguments."}
        properties["sampler"] = {"anyOf": [names, {"$ref": "#/definitions/sampler"}]} | {
            key: sampler[key] for key in ("description", "default") if key in sampler
        }

    @cached_property
    def space(self) -> Space:
        """The space of the pipeline.

        Raises:
            ConfigError: The space has mistakes; all are listed.
        """
        return self._parsed(Mistakes())

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics measured by a trial: objectives, then those in constraints."""
        return tuple(dict.fromkeys([o.metric for o in self.goals] + [b.metric for b in self.bounds]))

    def split(self, name: Literal["tune", "test"]) -> str | None:
        """The split named in the file."""
        return (self.splits or {}).get(name)

    @property
    def measures(self) -> tuple[str, ...]:
        """The metrics of rankings, by ir_measures."""
        return tuple(name for name in self.metrics if name not in COSTS and name not in ANSWERS)

    @property
    def answer_measures(self) -> tuple[str, ...]:
        """The metrics of written answers; without any, trials write none."""
        return tuple(name for name in self.metrics if name in ANSWERS)

    @property
    def first(self) -> Objective:
        """The objective for intervals and tests: the first that is a measure, else the first."""
        return next((goal for goal in self.goals if goal.metric not in COSTS), self.goals[0])

    def enqueued(self) -> list[dict[str, Any]]:
        """The points to try first.

        Raises:
            ConfigError: A point has an unknown parameter or an impossible value, or breaks a constraint.
        """
        space = self.space
        points = [] if space.start is None else [dict(space.start)]
        for index, enqueued_values in enumerate(self.enqueue):
            path_of_point = f"enqueue.{index}"

            def wrong(message: str, path: str = path_of_point) -> ConfigError:
                return ConfigError([self._placed(Mistake(message, path))])

            named: dict[str, Any] = {}
            for name, value in enqueued_values.items():
                meant = [p for p in space.parameters if p.name == name] or [
                    p for p in space.parameters if p.name.endswith(f".{name}")
                ]
                if not meant:
                    hint = did_you_mean(name, [p.name for p in space.parameters])
                    raise wrong(f"unknown parameter '{name}'{hint}", f"{path_of_point}.{name}")
                named |= {parameter.name: value for parameter in meant}
            point = space.complete(named)
            if not space.contains(point):
                raise wrong(f"{dict(enqueued_values)} is not a point of the space")
            if not space.allows(point):
                raise wrong(f"breaks {'; '.join(space.broken(point))}")
            points.append(point)
        return points

    def _placed(self, mistake: Mistake) -> Mistake:
        """A mistake with the place of the value that its path names, as far as the file has it."""
        if self.written is None or mistake.location is not None:
            return mistake
        location = self.written.deepest(mistake.path).location
        return replace(mistake, location=location if location.file else None)

    def with_settings(self, settings: Mapping[str, Any]) -> Sweep:
        """A copy with other arguments; the space is reused unless the pipeline or the constraints change.

        Args:
            settings: Arguments by name; a sampler may be given by its name.

        Raises:
            ConfigError: An argument is invalid, or the sampler cannot handle the space.
        """
        settings = dict(settings)
        if isinstance(settings.get("sampler"), str):
            settings["sampler"] = component_class("sampler", settings["sampler"])()
        changed = type(self)(**{**self.spec.arguments, **settings})
        changed.folder = self.folder
        if not {"pipeline", "constraints"} & set(settings):
            changed.space = self.space
        changed.sampler.check(changed.space, len(changed.objectives))
        return changed

    def _nodes(self) -> tuple[Node, list[Node]]:
        """The pipeline and the constraints, with locations if the sweep was read from a file."""
        if self.written is None:
            return node_from_python(self.pipeline), [node_from_python(text) for text in self.constraints]
        constraints = self.written.value.get("constraints")
        return self.written.value["pipeline"], [] if constraints is None else constraints.value

    def _parsed(self, mistakes: Mistakes) -> Space:
        """The space, unless there are mistakes, those given among them."""
        pipeline, constraints = self._nodes()
        rules = [node for node in constraints if _bound(str(node.value)) is None]
        space = Space.parse(pipeline, constraints=rules, mistakes=mistakes)
        if space is not None and not mistakes:
            try:
                self.sampler.check(space, len(self.goals))
            except ConfigError as error:
                path = ".".join(part for part in ("sampler", error.parameter) if part)
                mistakes.add(error.mistakes[0].message, path)
        Mistakes(self._placed(mistake) for mistake in mistakes).check()
        assert space is not None
        return space


@refuses_unknown
def read_sweep(path: str | Path, *, overrides: Sequence[str] = ()) -> Sweep:
    """Read a sweep from a file.

    Args:
        path: A YAML file with ``type: sweep``.
        overrides: Assignments such as ``n_trials=20``, applied before validation.

    Raises:
        ConfigError: All mistakes, each with its location.
    """
    mistakes = Mistakes()
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise mistakes.error()
    return _sweep(node, mistakes, Path(path).parent)


def sweep_from_config(config: Mapping[str, Any], *, folder: Path = Path()) -> Sweep:
    """The sweep that a mapping describes; distributions may be objects."""
    return _sweep(node_from_python(config), Mistakes(), folder)


def check_sweep(path: Path, *, overrides: Sequence[str] = (), resolved: bool = False) -> str:
    """Check a sweep file for ``rag check``, and return the message to print."""
    sweep = read_sweep(path, overrides=overrides)
    sweep.enqueued()
    space = sweep.space
    if resolved:
        assert space.start is not None or space.points
        point = space.start or (space.points or ({},))[0]
        return space.pipeline(point).to_yaml()
    size = f"{len(space.points):,} configurations" if space.points is not None else "endless configurations"
    names = ", ".join(parameter.name for parameter in space.parameters)
    return f"{path}: ok ({len(space.parameters)} parameters, {size}: {names})\n"


def _sweep(node: Node, mistakes: Mistakes, folder: Path) -> Sweep:
    pipeline = None
    if isinstance(node.value, dict):
        entries = dict(node.value)
        entries.setdefault("type", Node("sweep", node.location))
        pipeline = entries.get("pipeline")
        if pipeline is not None and isinstance(pipeline.value, dict) and not pipeline.location.file:
            pipeline = extended(pipeline, folder, mistakes)
            if pipeline is None:
                raise mistakes.error()
            entries["pipeline"] = pipeline
        if "sampler" in entries and isinstance(entries["sampler"].value, str):
            name = entries["sampler"]
            entries["sampler"] = replace(name, value={"type": name})
        node = replace(node, value=entries)
    sweep = build(node, Sweep, mistakes=mistakes)
    if not isinstance(sweep, Sweep):
        # Report mistakes in the space and in the objectives in the same pass.
        if pipeline is not None and isinstance(pipeline.value, dict):
            Space.parse(pipeline, mistakes=mistakes)
        if isinstance(node.value, dict) and not any(mistake.path.startswith("objectives") for mistake in mistakes):
            mistakes += _wrong_objectives(node.value.get("objectives"))
        raise mistakes.error()
    sweep.folder, sweep.written = folder, node
    sweep.space = sweep._parsed(mistakes)
    return sweep


def _wrong_objectives(objectives: Node | None) -> list[Mistake]:
    if objectives is None:
        return []
    try:
        parse_objectives([str(text.value) for text in objectives.value])
    except ConfigError as error:
        return [replace(mistake, path="objectives", location=objectives.location) for mistake in error.mistakes]
    return []


def _bound(text: str) -> Bound | None:
    """The bound on a measured metric that a text states, if its left side is such a metric."""
    bound = Bound.parse(text)
    if bound is None:
        return None
    try:
        return replace(bound, metric=parse_metric(bound.metric))
    except ConfigError:
        return None


def _bounds(texts: Sequence[str]) -> list[Bound]:
    return [bound for text in texts if (bound := _bound(text)) is not None]
