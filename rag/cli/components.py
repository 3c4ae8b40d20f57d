"""``rag components`` and ``rag schema``: what files can say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.console import echo, out, print_file, print_json
from rag.cli.options import JsonOption
from rag.errors import ConfigError, did_you_mean, system_message

if TYPE_CHECKING:
    from rag.component import Component

__all__ = ["components", "schema"]


def components(
    kind: Annotated[str | None, typer.Argument(help="Show only this kind.")] = None,
    name: Annotated[str | None, typer.Argument(help="Show only this type, with its arguments.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what a pipeline can be made of, with arguments, defaults and meaning."""
    from rag.config.schema import component_schema
    from rag.registry import component_class, kinds, types_of

    if kind is not None and kind not in kinds():
        suggestions = [f"rag components {other_kind} {kind}" for other_kind in kinds() if kind in types_of(other_kind)]
        hint = f"; you may mean: {' or '.join(suggestions)}" if suggestions else did_you_mean(kind, kinds())
        raise ConfigError(f"unknown kind '{kind}'{hint}")
    selected = [kind] if kind else kinds()
    if name is not None and kind is not None:
        cls = component_class(kind, name)
        if as_json:
            print_json(component_schema(cls))
        else:
            _print_component(cls)
        return
    summaries = {
        selected_kind: {name: _summary(selected_kind, name) for name in types_of(selected_kind)}
        for selected_kind in selected
    }
    if as_json:
        print_json(summaries)
    else:
        _print_table(summaries)


def schema(
    kind: Annotated[
        str, typer.Argument(help="What the files hold: pipeline, sweep, dataset, judge, summarizer (a writer), ...")
    ] = "pipeline",
    path: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File to write it to.")] = None,
) -> None:
    """Print the JSON Schema (draft 7) of files of a kind, for completion and checks in editors."""
    from rag.config.schema import json_schema
    from rag.store.writing import replace_file

    text = json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
    if path is None:
        print_file(text)
        return
    try:
        replace_file(path, text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {system_message(error)}") from None
    echo(f"wrote {path}; as a comment at the top of a file: # yaml-language-server: $schema={path}")


def _summary(kind: str, name: str) -> str:
    """What a component says it is; one of a broken package says why it cannot be used."""
    from rag.registry import component_class

    try:
        return component_class(kind, name).spec.summary.replace("``", "")
    except ConfigError as error:
        return f"(cannot be used: {error})"


def _print_table(summaries: dict[str, dict[str, str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "type", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for kind, types in summaries.items():
        for name, summary in types.items():
            table.add_row(kind, name, summary)
    out().print(table)


def _print_component(cls: type[Component]) -> None:
    from rich.markdown import Markdown
    from rich.table import Table
    from rich.text import Text

    from rag.config.schema import type_name, yaml_text

    console = out()
    console.print(Text(f"{cls.kind} {cls.type}", "bold"))
    console.print(Markdown(cls.spec.doc))
    if not cls.spec.parameters:
        console.print("It has no arguments.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("argument", "type", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for parameter in cls.spec.parameters.values():
        default = Text("required", "bold") if parameter.required else Text(yaml_text(parameter.default))
        table.add_row(Text(parameter.name), Text(type_name(parameter)), default, Text(parameter.help.replace("``", "")))
    console.print(table)
    if computed_by := cls._computed_by():
        console.print(Text(f"\n{computed_by}"))
