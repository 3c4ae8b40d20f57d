"""What making components shows in another process: one is started, once, for all components of a test run."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
from typing import Any

__all__ = ["HEAVY", "in_another_process"]

HEAVY = frozenset(
    "bm25s datasets faiss pandas pyarrow scipy sentence_transformers sklearn torch transformers".split()  # noqa: SIM905
)
"""Packages that describing a component, and making one, must not import: ``rag --help`` would wait for them."""

_EVENTS = ("open", "os.listdir", "os.mkdir", "socket.connect", "subprocess.Popen", "sqlite3.connect")

_PROGRAM = """
import json, sys, traceback
heavy, events = (set(names) for names in json.loads(sys.argv[1]))
answers, sys.stdout = sys.stdout, sys.stderr
from rag.config import build
from rag.config.node import node_from_python
from rag.errors import Mistakes
from rag.registry import component_class

opened = None
sys.addaudithook(lambda event, args: opened.append(f"{event} {args[0]}")
                 if opened is not None and event in events else None)

def make(kind, config):
    mistakes = Mistakes()
    component = build(node_from_python(config), component_class(kind, config["type"]), mistakes=mistakes)
    assert not mistakes, mistakes
    return component

for line in sys.stdin:
    before = heavy & set(sys.modules)
    try:
        kind, config = json.loads(line)
        component = make(kind, config)  # imports modules, which reads files
        opened = []
        make(kind, config)
        seen, opened = opened, None
        answer = {"fingerprint": component.fingerprint, "opened": seen,
                  "heavy": sorted((heavy & set(sys.modules)) - before)}
    except Exception:
        opened = None
        answer = {"failed": traceback.format_exc()}
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
"""


def in_another_process(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """What making a component in another interpreter shows.

    Returns:
        Its ``fingerprint``; what making it ``opened``, as audit events; ``heavy`` packages that it was
        the first to load.
    """
    child = _child()
    if child.poll() is not None:
        _child.cache_clear()
        child = _child()
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps([kind, config]) + "\n")
    child.stdin.flush()
    line = child.stdout.readline()
    assert line, f"the process died (exit code {child.wait()}) while it made {config}"
    answer: dict[str, Any] = json.loads(line)
    assert "failed" not in answer, answer["failed"]
    return answer


@functools.cache
def _child() -> subprocess.Popen[str]:
    arguments = json.dumps([sorted(HEAVY), _EVENTS])
    child = subprocess.Popen(  # noqa: S603 - this interpreter, fixed text
        [sys.executable, "-c", _PROGRAM, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(_end, child)
    return child


def _end(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    child.wait()
