"""Bars on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rag.cli import console


@pytest.fixture
def screen(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(console, "stderr", lambda: Console(file=text, force_terminal=True, width=60))
    monkeypatch.setattr(console, "_DELAY", 0.0)
    return text


def test_work_inside_other_work_has_a_line_below(screen):
    with console.progress("outside", 2) as outer:
        outer(1)
        for number in range(2):
            with console.progress(f"inside {number}", 3) as inner:
                inner(3)
                console._screen.refresh()
                lines = screen.getvalue().splitlines()
                assert "outside" in lines[-2]
                assert "1/2" in lines[-2]
                assert f"inside {number}" in lines[-1]
                assert "3/3" in lines[-1]
        assert [task.description for task in console._screen.tasks] == ["outside"]
    assert console._screen is None
    assert screen.getvalue().endswith("\x1b[2K\x1b[?25h\r")  # the bars are gone, the cursor is back


def test_an_error_inside_leaves_the_terminal_as_it_was(screen):
    with (
        pytest.raises(ValueError, match="no"),
        console.progress("outside", 2) as outer,
        console.progress("inside", 2) as inner,
    ):
        outer(1)
        inner(1)
        raise ValueError("no")
    assert console._screen is None
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h")
