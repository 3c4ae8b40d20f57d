"""``rag tune --auto`` and ``rag recommend``. Heavy modules are imported when a command runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import JsonOption, StoreOption

if TYPE_CHECKING:
    from rag.hpo.sweep import Sweep

__all__ = ["Request", "recommend", "tune_auto"]


@dataclass(frozen=True)
class Request:
    """The arguments of ``rag tune --auto``."""

    pipeline: Path
    dataset: str | None
    budget: str
    objective: str | None
    plan: bool
    write: Path | None
    scorers: Sequence[str]
    encoders: Sequence[str]


def tune_auto(
    request: Request,
    folder: Path | None,
    overrides: list[str],
    storage: str | None,
    trial_timeout: float | None,
    as_json: bool,
    store: str | None,
) -> None:
    """Make the sweep; show it, write it, or run it."""
    from rag.cli.console import echo, print_json, progress, status
    from rag.cli.store import open_store
    from rag.errors import ConfigError
    from rag.eval.datasets.load import load_dataset
    from rag.hpo.auto.run import auto_config, seconds_of, written
    from rag.hpo.cli.shown import print_result
    from rag.hpo.results.summary import summary
    from rag.hpo.sweep import sweep_from_config
    from rag.hpo.tuning import tune
    from rag.pipeline import Pipeline
    from rag.store.writing import plain_name, replace_file

    seconds_of(request.budget)
    if request.dataset is None:
        raise ConfigError("name a dataset: --dataset")
    pipeline = Pipeline.from_yaml(request.pipeline, overrides=overrides)
    with open_store(store) as opened:
        data = load_dataset(request.dataset, store=opened)
    settings: dict[str, Any] = {} if request.objective is None else {"objectives": [request.objective]}
    settings |= {} if storage is None else {"storage": storage}
    settings |= {} if trial_timeout is None else {"trial_timeout": trial_timeout}
    config = auto_config(
        pipeline,
        data,
        budget=request.budget,
        scorers=[{"type": "cross_encoder", "model": model} for model in request.scorers],
        encoders=[{"type": "sentence_transformer", "model": model} for model in request.encoders],
        **settings,
    )
    sweep = sweep_from_config(config)
    if request.write is not None:
        replace_file(request.write, written(config, request.dataset))
        echo(f"written: {request.write} (rag tune {request.write} runs it)", err=as_json)
    if request.plan:
        _print_plan(sweep, as_json)
    if request.plan or request.write is not None:
        return
    name = plain_name(Path(request.dataset).name)
    target = folder or Path("sweeps") / f"{request.pipeline.stem}-{name}-auto"
    with open_store(store) as opened:
        result = tune(sweep, data, out=target, store=opened, progress=progress, status=status)
    if as_json:
        print_json({**summary(result), "folder": str(target)})
    else:
        print_result(result, target, request.dataset)


def _print_plan(sweep: Sweep, as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from rag.cli.console import out, print_json
    from rag.hpo.auto.sampler import Moves
    from rag.progress import duration

    sampler = sweep.sampler
    assert isinstance(sampler, Moves)
    rows = sampler.plan(sweep.space)
    if as_json:
        moves = [{"parameter": n, "values": v, "expected_gain": gain, "anew": cost} for n, v, gain, cost in rows]
        print_json({"moves": moves, "left_out": sampler.left_out, "tune": sweep.split("tune")})
        return
    console = out()
    console.print(
        f"tuned on {sweep.split('tune')}, in {duration(sweep.timeout or 0)}; one change at a time, kept if it wins by "
        "a one-sided paired t-test at 5 %. Estimates before any measurement:",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("parameter", "values", "expected gain", "computed in each trial"):
        table.add_column(heading, justify="right" if heading == "expected gain" else "left")
    for name, values, gain, cost in rows:
        table.add_row(Text(name), Text(", ".join(map(str, values))), f"{gain:.3f}", cost)
    console.print(table)
    for name, reason in (sampler.left_out or {}).items():
        console.print(Text(f"left out: {name}: {reason}"), soft_wrap=True)


def recommend(
    dataset: Annotated[str, typer.Argument(metavar="DIR|NAME", help="A dataset: see `rag datasets`.")],
    budget: Annotated[str, typer.Option(metavar="TIME", help="Time after which no further rung is started.")] = "10m",
    encoder: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Encoder, or lsa (no model). Default: RAG_EMBEDDER, else all-MiniLM-L6-v2."),
    ] = None,
    scorer: Annotated[str | None, typer.Option(metavar="MODEL", help="A cross-encoder to rerank with.")] = None,
    objective: Annotated[str, typer.Option(metavar="MEASURE", help="Measure to decide by.")] = "nDCG@10",
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of the report.")] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Measure a ladder of pipelines, from words alone to everything learned, and say which rung is worth its cost."""
    from rag.cli.console import print_json, progress
    from rag.cli.store import open_store
    from rag.eval.datasets.load import load_dataset
    from rag.hpo.auto.recommend import recommend as run
    from rag.hpo.auto.recommended import print_table, write_recommendation
    from rag.store.writing import plain_name

    with open_store(store) as opened:
        data = load_dataset(dataset, store=opened)
        recommendation = run(
            data, budget=budget, encoder=encoder, scorer=scorer, objective=objective, store=opened, progress=progress
        )
    name = plain_name(Path(dataset).name)
    target = folder or Path("sweeps") / f"recommend-{name}"
    write_recommendation(recommendation, target)
    if as_json:
        print_json({**recommendation.to_dict(), "folder": str(target)})
    else:
        print_table(recommendation, target)
