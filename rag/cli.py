"""The command line: the spine's verbs here, those of other packages through entry points of group ``rag.commands``.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 done with too much of what
language models were asked for missing, or a bug (with a traceback), 2 something to put right (one message, no
traceback), 130 interrupted.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.calls import MAX_FAILED, check_calls
from rag.console import echo, print_file
from rag.corpus.cli import (
    CorpusOption,
    DropFieldOption,
    EncodingOption,
    IdFieldOption,
    OnErrorOption,
    SeparatorOption,
    TextFieldOption,
    TitleFieldOption,
    print_notes,
    read_documents_of,
)
from rag.errors import ConfigError, DataError, IncompleteError, RagError
from rag.options import MaxFailedOption
from rag.store.cli import app as store_app
from rag.store.cli import open_store
from rag.updates_cli import FilterOption, KeepOption
from rag.updates_cli import register as register_updates

if TYPE_CHECKING:
    from rag.component import Component
    from rag.types import Answer, SearchResult

__all__ = ["ConfigArgument", "JsonOption", "SetOption", "StoreModeOption", "StoreOption", "app", "main"]

app = typer.Typer(
    name="rag",
    help="Retrieval pipelines: describe them in YAML, fit, search, measure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="A pipeline in YAML.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value, such as retriever.top_k=50. May be repeated."),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Where vectors and indexes are kept and found again; 'off' keeps nothing. "
        "Default: $RAG_STORE, or rag in the user's cache folder.",
    ),
]
StoreModeOption = Annotated[
    Literal["use", "refresh", "only"],
    typer.Option(
        "--store-mode",
        help="Use what the store has; refresh: compute all again and keep it; only: compute nothing, fail instead.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        echo(f"rag {version('rag-pipelines')}")
        raise typer.Exit


app.add_typer(store_app, name="store")
register_updates(app)


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is being done.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    from rag.console import progress, quiet_libraries
    from rag.progress import announce

    quiet_libraries(verbose, quiet)
    announce(progress)


@app.command()
def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Write a commented pipeline and a small dataset to start from."""
    from rag.templates import write_starter

    for path in write_starter(folder):
        echo(f"wrote {path}")
    echo(f"next: rag eval {folder / 'pipeline.yaml'} --dataset {folder / 'data'}")


@app.command()
def check(
    config: ConfigArgument,
    resolved: Annotated[bool, typer.Option("--resolved", help="Print the file with every default filled in.")] = False,
    overrides: SetOption = None,
) -> None:
    """Validate a file without running it: every mistake at once, each with its place.

    A pipeline, a sweep, a dataset file, a judge, a writer, or any other component that files hold.
    """
    from rag.checking import checker_of
    from rag.pipeline import Pipeline

    other = checker_of(config, overrides or ())
    if other is not None:
        print_file(other(config, overrides=overrides or (), resolved=resolved))
        return
    pipeline = Pipeline.from_yaml(config, overrides=overrides or ())
    if resolved:
        print_file(pipeline.to_yaml())
    else:
        parts = sum(1 for _ in pipeline.spec.walk())
        echo(f"{config}: ok ({parts} components, fingerprint {pipeline.fingerprint})")


@app.command()
def index(
    config: ConfigArgument,
    corpus: CorpusOption,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to keep the index.")],
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    title_field: TitleFieldOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    on_error: OnErrorOption = "stop",
    drop_field: DropFieldOption = None,
    overrides: SetOption = None,
    keep: KeepOption = None,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
    max_failed: MaxFailedOption = MAX_FAILED,
    as_json: JsonOption = False,
) -> None:
    """Fit a pipeline on documents and keep it on disk."""
    from rag.console import print_json, progress
    from rag.pipeline import Pipeline
    from rag.store.folder import check_target

    pipeline = Pipeline.from_yaml(config, overrides=overrides or ())
    check_target(folder, pipeline.kind)
    documents = read_documents_of(
        corpus,
        id_field=id_field,
        text_field=text_field,
        title_field=title_field,
        separator=separator,
        encoding=encoding,
        on_error=on_error,
        drop_fields=drop_field or (),
    )
    with open_store(store, store_mode) as kept:
        pipeline.fit(documents, progress=progress, store=kept)
    check_calls(pipeline.fit_costs, max_failed)
    with progress("saving", None):
        pipeline.save(folder, keep=keep)
    seconds = pipeline.fit_costs.total.seconds
    n_documents, n_passages = len(pipeline.corpus), len(pipeline.passages)
    if as_json:
        about = {"folder": str(folder), "documents": n_documents, "passages": n_passages, "seconds": seconds}
        print_json(about | {"remarks": pipeline.remarks.as_dicts()})
        return
    print_notes(pipeline.remarks)
    echo(f"{folder}: {n_documents} documents, {n_passages} passages, {seconds:.1f} s")


@app.command()
def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `rag index` wrote.")],
    query: Annotated[str, typer.Argument(help="The question.")] = "",
    conversation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Asks with a conversation: a JSON list of {speaker, text}, oldest first."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="At most this many documents.")] = None,
    condition: FilterOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show each stage's scores.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a kept pipeline."""
    from rag.conditions import read_condition
    from rag.console import print_json
    from rag.pipeline import Pipeline
    from rag.types import Query

    if bool(query) == (conversation is not None):
        raise ConfigError("give a question, or a conversation with --conversation FILE")
    asked = query if conversation is None else Query("query", turns=_read_conversation(conversation))

    wanted = None if condition is None else read_condition(condition)
    result = Pipeline.load(folder).search(asked, top_k=top_k, filter=wanted, explain=explain)
    if as_json:
        print_json(_result_json(result, explain))
    else:
        _print_result(result, explain)


@app.command()
def components(
    kind: Annotated[str | None, typer.Argument(help="Only this kind.")] = None,
    name: Annotated[str | None, typer.Argument(help="Only this one, with its arguments.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what a pipeline can be made of, with arguments, defaults and meaning."""
    from rag.config.schema import component_schema
    from rag.console import print_json
    from rag.errors import did_you_mean
    from rag.registry import component_class, kinds, types_of

    if kind is not None and kind not in kinds():
        known = [f"rag components {one} {kind}" for one in kinds() if kind in types_of(one)]
        hint = f"; you may mean: {' or '.join(known)}" if known else did_you_mean(kind, kinds())
        raise ConfigError(f"unknown kind '{kind}'{hint}")
    wanted = [kind] if kind else kinds()
    if name is not None and kind is not None:
        cls = component_class(kind, name)
        if as_json:
            print_json(component_schema(cls))
        else:
            _print_component(cls)
        return
    found = {one: {name: _summary(one, name) for name in types_of(one)} for one in wanted}
    if as_json:
        print_json(found)
    else:
        _print_table(found)


@app.command()
def schema(
    kind: Annotated[
        str, typer.Argument(help="What the files hold: pipeline, sweep, dataset, judge, summarizer (a writer), ...")
    ] = "pipeline",
    path: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to a file.")] = None,
) -> None:
    """Print the JSON Schema (draft 7) of files of a kind, for completion and checks in editors."""
    import json

    from rag.config.schema import json_schema
    from rag.store.folder import replace_file

    text = json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
    if path is None:
        print_file(text)
        return
    try:
        replace_file(path, text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    echo(f"wrote {path}; as a comment at the top of a file: # yaml-language-server: $schema={path}")


def _summary(kind: str, name: str) -> str:
    """What a component says it is; one of a broken package says why it cannot be used."""
    from rag.registry import component_class

    try:
        return component_class(kind, name).spec.summary.replace("``", "")
    except ConfigError as error:
        return f"(cannot be used: {error})"


# -- printing -----------------------------------------------------------------------------------------------------


def _result_json(result: SearchResult, explain: bool) -> dict[str, Any]:
    hits = []
    for rank, hit in enumerate(result, 1):
        one: dict[str, Any] = {
            "rank": rank,
            "id": hit.document.id,
            "score": hit.score,
            "passage": hit.passage,
            "start": hit.start,
            "end": hit.end,
            "metadata": dict(hit.document.metadata),
            "passage_metadata": dict(hit.passage_metadata),
        }
        hits.append(one | ({"scores": dict(hit.explanation), "keys": dict(hit.keys)} if explain else {}))
    answer = {} if result.answer is None else {"answer": _answer_json(result.answer)}
    remarks = [remark.as_dict() for remark in result.remarks]
    return {"query": result.query.text} | answer | {"hits": hits, "costs": result.costs.as_dict(), "remarks": remarks}


def _answer_json(answer: Answer) -> dict[str, Any]:
    about = {name: getattr(answer, name) for name in ("text", "abstained", "problem", "n_dropped", "money")}
    return about | {"citations": [{"rank": one.rank, "id": one.document} for one in answer.citations]}


def _read_conversation(file: Path) -> Any:
    try:
        turns = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{file}: not JSON: {error}") from None
    if not turns:
        raise DataError(f"{file}: a conversation needs a turn with text, this one has none")
    return turns


def _print_result(result: SearchResult, explain: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from rag.console import out

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
        text = " ".join(hit.passage.split())
        console.print(Padding(Text(text if len(text) <= 240 else text[:237] + "..."), (0, 0, 0, 4)))
        if explain:
            scores = "  ".join(f"{name}={score:.4f}" for name, score in hit.explanation.items())
            console.print(Padding(Text(scores, "dim"), (0, 0, 0, 4)))
            for name, key in hit.keys.items():
                shown = " ".join(key.split())
                matched = f"{name}: {shown if len(shown) <= 240 else shown[:237] + '...'}"
                console.print(Padding(Text(matched, "dim"), (0, 0, 0, 4)))


def _print_table(found: dict[str, dict[str, str]]) -> None:
    from rich.table import Table

    from rag.console import out

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "type", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for kind, types in found.items():
        for name, summary in types.items():
            table.add_row(kind, name, summary)
    out().print(table)


def _print_component(cls: type[Component]) -> None:
    from rich.markdown import Markdown
    from rich.table import Table
    from rich.text import Text

    from rag.config.schema import type_name, yaml_text
    from rag.console import out

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


# -- running ------------------------------------------------------------------------------------------------------


def _load_commands() -> None:
    for entry in sorted(entry_points(group="rag.commands"), key=lambda entry: entry.name):
        try:
            command = entry.load()
        except Exception as error:  # a plug-in may raise anything while it is imported; it costs its own command only
            app.command(entry.name, context_settings={"ignore_unknown_options": True})(_broken_command(entry, error))
            continue
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)


def _broken_command(entry: EntryPoint, error: Exception) -> Callable[..., None]:
    """A command that says why the real one cannot be loaded, whatever it is given."""
    reason = f"the command '{entry.name}' ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"

    def broken(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise RagError(reason)

    broken.__doc__ = f"Cannot be loaded: {type(error).__name__}: {error}"
    return broken


def main() -> None:
    """Entry point of the console script."""
    try:
        _load_commands()
        app()
    except IncompleteError as error:
        _fail(str(error), code=1)
    except RagError as error:
        _fail(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"no space left on the device{f': {error.filename}' if error.filename else ''}")
    except KeyboardInterrupt:
        echo("interrupted", err=True)
        sys.exit(130)


def _fail(message: str, *, code: int = 2) -> None:
    from rich.text import Text

    from rag.console import stderr

    console = stderr()
    lines = message.splitlines() or ["unknown error"]
    for line in lines:
        console.print(Text.assemble(("error: ", "bold red"), line))
    if len(lines) > 1:
        console.print(f"{len(lines)} mistakes")
    sys.exit(code)
