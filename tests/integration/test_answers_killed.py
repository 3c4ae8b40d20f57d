"""An evaluation killed while it has answers written and judged goes on from the store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.chat_server import asked, chat_server

pytestmark = pytest.mark.slow

N = 120
CHILD = f"""
import sys
from rag.eval import ClaimJudge, evaluate
from rag.eval.datasets.base import Dataset, Split
from rag import Corpus, Document, Pipeline, Query, Store
from rag.retrievers import BM25
from rag.summarizers import ChatModel, Generate
url, folder = sys.argv[1:]
corpus = Corpus.from_documents([Document(f"d{{n}}", f"thing{{n}} is here") for n in range({N})])
queries = [Query(f"q{{n}}", f"thing{{n}}") for n in range({N})]
data = Dataset("things", corpus, {{"test": Split(queries, {{f"q{{n}}": {{f"d{{n}}": 1}} for n in range({N})}})}})
model = ChatModel("tiny", base_url=url)
pipeline = Pipeline(retriever=BM25(), stages=[Generate(writer=model)])
with Store(folder) as store:
    evaluation = evaluate(pipeline, data, measures=["AP"], store=store, judge=ClaimJudge(model=model))
answers = evaluation.metrics["answers"]
assert {N} == answers["costs"]["llm_calls"] == answers["judges"][0]["costs"]["llm_calls"] // 2
print(answers["judges"][0]["measures"]["faithfulness"]["mean"])
"""


def reply(request, number):
    text = asked(request)
    if "Split the answer" in text:
        body = json.dumps([text.rpartition("<answer>\n")[2].partition("\n")[0]])
    else:
        body = '{"1": "supported"}' if "numbered claims" in text else f"{text.split()[-1]} [1]"
    return {"body": body, "delay": 0.01}


def start(server, folder):
    command = [sys.executable, "-c", CHILD, server.url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_in_the_middle_it_goes_on(tmp_path):
    with chat_server(reply) as server:
        for least in (N // 2, 2 * N + N // 2):  # while answers are written; while claims are verified
            child = start(server, tmp_path)
            while len(server.requests) < least and child.poll() is None:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            assert -signal.SIGKILL == child.returncode
        output, _ = start(server, tmp_path).communicate(timeout=120)
        assert output == "1.0\n"
        assert 3 * N == len({asked(request) for request in server.requests})
        # 8 may have been under way at each kill, and as many answered but not yet written down.
        assert 3 * N <= len(server.requests) <= 3 * N + 2 * 16
