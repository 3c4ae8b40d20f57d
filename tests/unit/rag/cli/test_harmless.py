"""What data holds cannot command a terminal, whichever way it gets there."""

from __future__ import annotations

import ast
import io
import json
import sys
import time
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import rag
from rag import progress
from rag.cli import console
from rag.text.plain import plain

EVIL = "d\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\u2066\r\ud800[red]x[/x]:smile:"
HARMFUL = set("\x00\x07\x08\x0b\x1b\x7f\x9b\u2028\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\ud800\udfff")
ROOT = Path(rag.__file__).parents[1]


def test_texts_lose_what_commands_and_keep_the_rest():
    assert plain(EVIL) == ("d\ufffd]0;owned\ufffd\ufffd[2J\ufffd31m\ufffdtxt.exe\ufffd\n\ufffd[red]x[/x]:smile:")
    assert plain("".join(sorted(HARMFUL))) == "\ufffd" * len(HARMFUL)
    text = "tab\tand\nline, naïve שלום\u200f مرحبا 日本 👩\u200d👩\u200d👧 e\u0301 \u00ad"
    assert plain(text) == text
    assert plain("a\r\nb\rc") == "a\nb\nc"


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("stream", ["out", "stderr"])
def test_consoles_print_nothing_of_it(monkeypatch, terminal, stream):
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout" if stream == "out" else "stderr", written)
    screen = getattr(console, stream)()
    table = Table(box=None)
    table.add_column(EVIL)
    table.add_row(EVIL)
    for item in (EVIL, Text(EVIL, "bold"), Text.assemble((EVIL, "red")), table):
        screen.print(item)
    text = written.getvalue()
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[31m", "\x1b[1;31m"):  # rich's own
        text = text.replace(code, "")
    assert HARMFUL & set(text) == set()
    assert "[red]x[/x]:smile:" in text
    assert ("\x1b[31m" in written.getvalue()) == terminal


def test_lines_are_harmless_and_json_says_the_same_in_escapes(capsys, monkeypatch):
    console.echo(EVIL)
    console.echo(EVIL, err=True)
    assert capsys.readouterr() == (plain(EVIL) + "\n",) * 2
    console.print_json({"id": EVIL, EVIL: 1})
    text = capsys.readouterr().out
    assert HARMFUL & set(text) == set()
    assert json.loads(text) == {"id": EVIL, EVIL: 1}
    console.print_file("a: \u202e\n")
    assert capsys.readouterr().out == "a: \u202e\n"  # into a file: as it is
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.print_file("a: \u202e\n")
    assert capsys.readouterr().out == "a: \ufffd\n"


def test_progress_takes_no_markup_and_no_commands(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)
    with console.progress(EVIL, 2) as advance:
        advance(1)
        time.sleep(0.2)
    assert capsys.readouterr().err.startswith(plain(EVIL) + ": 1 of 2")
    written = io.StringIO()
    monkeypatch.setattr(console, "_DELAY", 0.0)
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with console.progress("[/x]\x07\u202e", 2) as advance:
        advance(1)
        console._screen.refresh()
    assert "[/x]\ufffd\ufffd" in written.getvalue()


def test_there_is_no_other_door():
    """Nothing but the console module writes to the standard streams."""
    writers = {"print", "typer.echo", "typer.secho", "click.echo", "sys.stdout.write", "sys.stderr.write"}
    writers |= {"Console", "rich.print"}
    others = []
    for package in ("rag", "eval", "hpo", "retrievers", "rerankers", "summarizers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == ROOT / "rag" / "cli" / "console.py":
                continue
            others += [
                f"{path.relative_to(ROOT)}:{node.lineno}"
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and ast.unparse(node.func) in writers
            ]
    assert others == []
