"""``rag doctor``: what this installation has, and what a pipeline would miss on this machine."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from rag.cli.console import out, print_json
from rag.cli.options import JsonOption
from rag.errors import RagError

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["Finding", "doctor", "findings"]

_PATIENCE = 3.0
"""Seconds to wait for a server."""
_PORTS = {"http": 80, "https": 443, "postgres": 5432, "postgresql": 5432}
_PACKAGES = ("numpy", "torch", "transformers", "sentence-transformers", "faiss-cpu", "optuna", "langchain-core")


@dataclass(frozen=True)
class Finding:
    """A fact about the installation.

    Args:
        name: Its subject.
        state: ``ok``, ``missing`` (nothing depends on it yet), or ``problem``.
        text: The fact in words, with a command that helps where there is one.
    """

    name: str
    state: Literal["ok", "missing", "problem"]
    text: str


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="A pipeline, whose models and servers are looked for.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what this installation has: versions, processor, models, store, extras. Exit code 1 with a problem."""
    pipeline = None
    if config is not None:
        from rag.pipeline import Pipeline

        pipeline = Pipeline.from_yaml(config)
    checked = list(findings(pipeline))
    if as_json:
        print_json([asdict(finding) for finding in checked])
    else:
        _print(checked)
    if any(finding.state == "problem" for finding in checked):
        raise typer.Exit(1)


def findings(pipeline: Pipeline | None = None) -> Iterator[Finding]:
    """All facts, about a pipeline's models and servers too if there is one."""
    yield from _installation()
    yield from _processor()
    yield _store()
    yield _hub()
    yield from _extras()
    if pipeline is not None:
        yield from _models(pipeline)
        yield from _servers(pipeline)


def _installation() -> Iterator[Finding]:
    import rag

    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    yield Finding("version", "ok", f"rag-pipelines {rag.__version__}, Python {platform.python_version()}, {versions}")
    package = Path(rag.__file__).resolve().parent
    if (Path.cwd() / "rag").is_dir() and (Path.cwd() / "rag").resolve() != package:
        yield Finding("package", "problem", f"{Path.cwd() / 'rag'} shadows the package 'rag' in scripts that run here")
    else:
        yield Finding("package", "ok", f"{package}, by {sys.executable}")


def _processor() -> Iterator[Finding]:
    import torch

    from rag.models import has_fast_bfloat16, resolve_device
    from rag.models.precision import has_vnni

    device = resolve_device("auto")
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    precision = "bfloat16" if has_fast_bfloat16(device) else "float32"
    eight = ", fast int8" if device == "cpu" and has_vnni() else ""
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield Finding("processor", "ok", f"{name}, {cores}; models run on {device}, 'auto' is {precision}{eight}")


def _store() -> Finding:
    from rag.store.store import Store

    named = os.environ.get("RAG_STORE")
    if named == "off":
        return Finding("store", "missing", "off (RAG_STORE): everything is computed again each time")
    try:
        with Store(named) as store:
            size = sum(entry.bytes for entry in store.entries()) / 2**20
            if not store.writable:
                return Finding("store", "problem", f"{store.root} cannot be written: set RAG_STORE to another folder")
            free = shutil.disk_usage(store.root).free / 2**30
            return Finding("store", "ok", f"{store.root}, {size:,.0f} MiB, {free:,.0f} GiB free; rag store ls lists it")
    except RagError as error:
        return Finding("store", "problem", str(error))


def _hub() -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return Finding("hub", "ok", "HF_HUB_OFFLINE is set: no model is downloaded; packages and folders are used")
    return Finding("hub", "ok", "models named on the Hugging Face Hub are downloaded when first used")


def _extras() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    packages: dict[str, list[str]] = {}
    for line in distribution("rag-pipelines").requires or ():
        requirement = Requirement(line)
        for extra in distribution("rag-pipelines").metadata.get_all("Provides-Extra") or ():
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra}):
                packages.setdefault(extra, []).append(requirement.name)
    for extra in sorted(packages.keys() - {"dev", "test", "docs"}):
        absent = [name for name in packages[extra] if not _installed(name)]
        if absent:
            text = f"without {', '.join(absent)}: pip install 'rag-pipelines[{extra}]'"
            yield Finding(f"extra {extra}", "missing", text)
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(packages[extra]))


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _models(pipeline: Pipeline) -> Iterator[Finding]:
    """Whether the models that a pipeline names are on this machine."""
    from huggingface_hub import try_to_load_from_cache

    from rag.models import resolve_model

    named = {part.spec.arguments.get("model"): part for _, part in pipeline.spec.walk()}
    for model, part in named.items():
        if not isinstance(model, str) or part.kind == "summarizer":
            continue
        try:
            path = resolve_model(model)
        except RagError as error:
            yield Finding(f"model {model}", "problem", str(error))
            continue
        if Path(path).is_dir() or isinstance(try_to_load_from_cache(path, "config.json"), str):
            yield Finding(f"model {model}", "ok", "is on this machine")
        elif os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            yield Finding(f"model {model}", "problem", "is not on this machine, and HF_HUB_OFFLINE forbids a download")
        else:
            yield Finding(
                f"model {model}", "missing", "is not on this machine: it is downloaded from the Hub when used"
            )


def _servers(pipeline: Pipeline) -> Iterator[Finding]:
    """Whether the servers that a pipeline names answer."""
    from rag.config import revealed

    for path, part in pipeline.spec.walk():
        for argument in ("url", "base_url", "uri"):
            value = part.spec.arguments.get(argument)
            if not isinstance(value, str):
                continue
            try:
                parts = urlsplit(revealed(value, argument))
            except (RagError, ValueError) as error:
                yield Finding(f"{path}.{argument}", "problem", str(error))
                continue
            if parts.hostname:
                yield _reached(f"{path}.{argument}", parts.hostname, parts.port or _PORTS.get(parts.scheme, 443))


def _reached(name: str, host: str, port: int) -> Finding:
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        return Finding(name, "problem", f"{host}:{port} cannot be reached: {error.strerror or error}")
    return Finding(name, "ok", f"{host}:{port} accepts connections")


def _print(checked: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    styles: dict[str, Any] = {"ok": "green", "missing": "dim", "problem": "bold red"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    extras = [finding.name for finding in checked if finding.state == "missing" and finding.name.startswith("extra ")]
    for finding in checked:
        if finding.name not in extras:
            table.add_row(Text(finding.state, styles[finding.state]), finding.name, Text(finding.text))
    if extras:
        names = ", ".join(name.removeprefix("extra ") for name in extras)
        text = f"{names}; where one is needed: pip install 'rag-pipelines[NAME]'"
        table.add_row(Text("optional", "dim"), "other extras", Text(text))
    out().print(table)
    problems = sum(finding.state == "problem" for finding in checked)
    out().print(f"{problems} to put right" if problems else "Ready: nothing that is needed is missing.")
