"""The command line: the spine's verbs here, those of other packages through entry points of group ``rag.commands``.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 done with too much of what
language models were asked for missing, or a bug (with a traceback), 2 something to put right (one message, no
traceback), 130 interrupted.
"""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Annotated

import typer

from rag.cli.check import check
from rag.cli.components import components, schema
from rag.cli.console import echo, progress, quiet_libraries, stderr
from rag.cli.convert import convert
from rag.cli.doctor import doctor
from rag.cli.index import index
from rag.cli.init import init
from rag.cli.search import search
from rag.cli.serve import serve
from rag.cli.store import app as store
from rag.cli.updates import add, compact, delete, rollback, sync, verify
from rag.errors import IncompleteError, RagError
from rag.installed import entry_points

__all__ = ["app", "main"]

app = typer.Typer(
    name="rag",
    help="Retrieval pipelines: describe them in YAML, fit, search, measure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        echo(f"rag {version('rag-pipelines')}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what is being done.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    from rag.progress import announce

    quiet_libraries(verbose, quiet)
    announce(progress)


for command in (
    init,
    doctor,
    check,
    convert,
    index,
    search,
    serve,
    add,
    delete,
    sync,
    compact,
    rollback,
    verify,
    components,
    schema,
):
    app.command()(command)
app.add_typer(store, name="store")


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
    _summarize(app)


def _summarize(group: typer.Typer) -> None:
    """List commands with the first sentence about them, which would be cut at the 45th character otherwise."""

    def sentence(text: str | None) -> str:
        return " ".join((text or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")

    for command in group.registered_commands:
        command.short_help = sentence(inspect.getdoc(command.callback))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            inner.short_help = sentence(inner.typer_instance.info.help)
            _summarize(inner.typer_instance)


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

    console = stderr()
    lines = message.splitlines() or ["unknown error"]
    for line in lines:
        console.print(Text.assemble(("error: ", "bold red"), line))
    if len(lines) > 1:
        console.print(f"{len(lines)} mistakes")
    sys.exit(code)
