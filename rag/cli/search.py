"""``rag search``: asks a saved pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.console import out, print_json
from rag.cli.options import FilterOption, JsonOption
from rag.errors import ConfigError, DataError, system_message

if TYPE_CHECKING:
    from rag.types import SearchResult

__all__ = ["search"]


def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `rag index` wrote.")],
    query: Annotated[str, typer.Argument(help="The question.")] = "",
    conversation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of a conversation to search with: a JSON list of {speaker, text}, oldest first."
        ),
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Maximum number of documents.")] = None,
    condition: FilterOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show each stage's scores.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a saved pipeline."""
    from rag.conditions import read_condition
    from rag.pipeline import Pipeline
    from rag.types import Query

    if bool(query) == (conversation is not None):
        raise ConfigError("give a question, or a conversation with --conversation FILE")
    asked = query if conversation is None else Query("query", turns=_read_conversation(conversation))

    filter_condition = None if condition is None else read_condition(condition)
    result = Pipeline.load(folder).search(asked, top_k=top_k, filter=filter_condition, explain=explain)
    if as_json:
        print_json(_result_json(result, explain))
    else:
        _print_result(result, explain)


def _result_json(result: SearchResult, explain: bool) -> dict[str, Any]:
    from rag.text.matches import matches

    values = result.to_dict()
    for entry in values["hits"]:
        entry["matches"] = matches(result.query.text, entry["passage"])
        if not explain:
            del entry["scores"], entry["keys"]
    return values


def _read_conversation(file: Path) -> Any:
    try:
        turns = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {system_message(error)}") from None
    except ValueError as error:
        raise DataError(f"{file}: not JSON: {error}") from None
    if not turns:
        raise DataError(f"{file}: a conversation needs a turn with text, this one has none")
    return turns


def _print_result(result: SearchResult, explain: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from rag.text.matches import excerpt, matches

    console = out()
    if result.answer is not None:
        written, problem = result.answer.text.strip(), result.answer.problem
        console.print(Text(written, "bold") if written else Text(f"no answer: {problem}", "yellow"), soft_wrap=True)
        console.print()
    if not len(result):
        console.print("nothing found")
    for rank, hit in enumerate(result, 1):
        title = hit.document.metadata.get("title")
        line = Text.assemble((f"{rank:2}. ", "dim"), (hit.document.id, "bold"), (f"  {hit.score:.4f}", "cyan"))
        if isinstance(title, str):
            line.append(f"  {title}")
        console.print(line)
        if where := str(hit.origin):
            console.print(Text(f"    {where}", "dim"), soft_wrap=True)  # a link must stay whole
        passage = " ".join(hit.passage.split())
        start, end = excerpt(passage, matches(result.query.text, passage), 240)
        shown = Text(f"{'...' if start else ''}{passage[start:end]}{'...' if end < len(passage) else ''}")
        for first, last in matches(result.query.text, shown.plain):
            shown.stylize("bold", first, last)
        console.print(Padding(shown, (0, 0, 0, 4)))
        if explain:
            scores = "  ".join(f"{name}={score:.4f}" for name, score in hit.explanation.items())
            console.print(Padding(Text(scores, "dim"), (0, 0, 0, 4)))
            for name, key in hit.keys.items():
                text = " ".join(key.split())
                matched = f"{name}: {text if len(text) <= 240 else text[:237] + '...'}"
                console.print(Padding(Text(matched, "dim"), (0, 0, 0, 4)))
