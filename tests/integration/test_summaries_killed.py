"""A process killed in the middle of hundreds of summaries loses at most those under way; the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.chat_server import asked, chat_server, summary_of

pytestmark = pytest.mark.slow

CHILD = """
import sys
from rag import Source, Store
from rag.summarizers import ChatModel
url, folder = sys.argv[1:]
sources = [Source(str(number), f"text {number}") for number in range(500)]
summaries = ChatModel("tiny", base_url=url, concurrency=8).summarize(sources, store=Store(folder))
assert [(f"summary of text {number}",) for number in range(500)] == summaries.texts
print("done")
"""


def start(server, folder):
    command = [sys.executable, "-c", CHILD, server.url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_in_the_middle_of_500_summaries(tmp_path):
    with chat_server(lambda request, number: {"body": summary_of(request), "delay": 0.01}) as server:
        child = start(server, tmp_path)
        while len(server.requests) < 250 and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert -signal.SIGKILL == child.returncode
        before = len(server.requests)
        assert 250 <= before < 500
        output, _ = start(server, tmp_path).communicate(timeout=120)
        assert output == "done\n"
        again = len(server.requests) - before
        # 8 may have been under way, and as many answered but not yet written down.
        assert 500 - before <= again <= 500 - before + 16
        assert len({asked(request) for request in server.requests}) == 500


def test_two_processes_do_not_pay_twice(tmp_path):
    with chat_server(lambda request, number: {"body": summary_of(request)}) as server:
        children = [start(server, tmp_path) for _ in range(2)]
        assert [child.communicate(timeout=120)[0] for child in children] == ["done\n"] * 2
        assert len(server.requests) == 500
