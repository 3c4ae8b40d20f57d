"""Questions written for documents: what is kept, what is dropped and why; against a chat server on a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage

from rag import Corpus, Document, Pipeline, Store
from rag.config import load_component
from rag.errors import ConfigError, DataError
from rag.eval import evaluate
from rag.eval.datasets.load import load_dataset
from rag.eval.datasets.make import make_dataset
from rag.eval.datasets.trivial import copied, why_trivial
from rag.eval.datasets.write import write_dataset
from rag.summarizer import Summarizer
from rag.summarizers import ChatModel, LangChainSummarizer
from tests.chat_server import asked, chat_server

TEXT = (
    "The harbour office issues mooring permits for a period of {n} weeks. A skipper who stays longer pays a fee of {n} "
    "crowns a night, which the warden collects in the morning. Boats above twelve metres need the written consent of "
    "pilot number {n}, who may be reached on channel {n}."
)


def corpus(n: int = 30) -> Corpus:
    return Corpus.from_documents(
        [Document(f"d{i}", f"Harbour {i}\n" + TEXT.format(n=i), {"title": f"Harbour {i}"}) for i in range(n)]
    )


def about(request: dict) -> str:
    """The first number in the text that is asked about."""
    return asked(request).split("Harbour ", 1)[1].split()[0]


def good(request: dict, number: int = 0) -> dict:
    name = about(request)
    return {"body": f"what does berth{name} cost a guest{name} overnight{name} beyond limits{name}?"}


def writer(url: str, **arguments: object) -> ChatModel:
    return ChatModel("tiny", base_url=url, task="questions", retries=0, **arguments)


def test_questions_with_their_documents(tmp_path: Path) -> None:
    with chat_server(good) as server:
        made = make_dataset(corpus(), writer(server.url), n=10)
        assert len(server.requests) == 10
        assert "Write 1 questions that the text below answers" in asked(server.requests[0])
    split = made.dataset.split("test")
    assert 10 == len(split.queries) == len({query.id for query in split.queries})
    for query in split.queries:
        ((document, grade),) = split.qrels[query.id].items()
        assert f"berth{document[1:]} " in query.text
        assert grade == 1
        start, end = query.metadata["passage"]
        assert corpus().documents([int(document[1:])])[0].text[start:end].startswith("Harbour")
    about_made = made.about
    assert (10, 10, 10, {}) == (
        about_made["passages_asked"],
        about_made["questions_written"],
        about_made["questions_kept"],
        about_made["dropped"],
    )
    assert (10, 120) == (about_made["llm_calls"], about_made["llm_tokens"])
    assert about_made["writer"]["model"] == "tiny"
    again = load_dataset(write_dataset(made.dataset, tmp_path / "out", about=about_made))
    assert split.qrels == again.split("test").qrels
    assert again.notes[0].startswith("questions written by chat_model 'tiny', 10 of 10 kept")
    pipeline = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}})
    notes = evaluate(pipeline, again, timed=False).metrics["notes"]
    assert list(again.notes) == notes[:2]


def test_what_is_dropped_and_why() -> None:
    answers: dict[int, Callable[[str], str]] = {
        0: lambda name: f"what does this document say about harbour{name} and berth{name}?",
        1: lambda name: f"a skipper who stays longer pays a fee of {name} crowns a night?",
        2: lambda name: "why?",
        3: lambda name: "what does it cost to stay longer than allowed anywhere?",
        4: lambda name: f"Here are the questions on berth{name} that you asked for:",
    }

    def answer(request: dict, number: int) -> dict:
        name = about(request)
        return {"body": answers[int(name)](name)} if int(name) in answers else good(request)

    def answer_all_the_same(request: dict, number: int) -> dict:
        return {"body": answers[3]("")} if int(about(request)) % 2 else good(request)

    with chat_server(answer) as server:
        made = make_dataset(corpus(20), writer(server.url), n=16)
    assert tuple(made.about[key] for key in ("passages_asked", "questions_written", "questions_kept")) == (20, 20, 16)
    assert made.about["dropped"] == (
        {"about the text itself": 1, "copied from the text": 1, "no question": 1, "too short": 1}
    )
    assert made.about["dropped_examples"]["too short"] == ["why?"]
    with chat_server(answer_all_the_same) as server:
        made = make_dataset(corpus(20), writer(server.url), n=16)
    assert made.about["dropped"] == {"asked of several documents": 10}
    assert len(made.dataset.split("test").queries) == 10
    assert "16 questions were requested: 20 passages gave no more" in made.about["notes"]


def test_several_questions_a_passage_and_repetitions() -> None:
    def answer(request: dict, number: int) -> dict:
        name = about(request)
        question = f"what does berth{name} cost a guest{name} overnight{name}?"
        return {
            "body": json.dumps(
                {"texts": [question, question.upper(), f"whom must long{name} boats ask{name} first{name}?"]}
            )
        }

    with chat_server(answer) as server:
        made = make_dataset(corpus(4), writer(server.url, n_texts=3), n=8)
    assert made.about["dropped"] == {"asked twice": 4}
    assert made.about["questions_kept"] == 8


def test_a_pipeline_must_find_the_document_again() -> None:
    def answer(request: dict, number: int) -> dict:
        name = about(request)
        told = f"which fee does harbour {name} take from late{name} skippers{name}?"
        return {"body": told if int(name) < 10 else f"quanto costa{name} rimanere{name} oltre{name}?"}

    bm25 = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}})
    with chat_server(answer) as server:
        made = make_dataset(corpus(20), writer(server.url), n=10, round_trip=bm25, within=5)
    assert made.about["dropped"] == {"not found again among the first 5": 10}
    assert {f"d{i}" for i in range(10)} == {
        id for judgments in made.dataset.split("test").qrels.values() for id in judgments
    }


def test_a_langchain_model_and_failures() -> None:
    chat = FakeListChatModel(responses=["I'm sorry, I cannot do that."])
    with pytest.raises(DataError, match="nothing was written for 6 passages: it refused: I'm sorry"):
        make_dataset(corpus(6), LangChainSummarizer(chat, task="questions", retries=0), n=2)
    texts = [f"what does berth{i} cost a guest{i} overnight{i}?" for i in range(6)]
    chat = GenericFakeChatModel(messages=iter([AIMessage("I can't"), *map(AIMessage, texts)]))
    made = make_dataset(corpus(6), LangChainSummarizer(chat, task="questions", retries=0, concurrency=1), n=5)
    assert made.about["questions_kept"] == 5
    assert "nothing was written for 1 passages (it refused: I can't)" in made.about["notes"]
    assert "LangChainSummarizer" in made.about["writer"]
    chat = FakeListChatModel(responses=["why?"])
    with pytest.raises(DataError, match="none of the 6 questions is of use: 6 too short; the first: 'why"):
        make_dataset(corpus(6), LangChainSummarizer(chat, task="questions"), n=2)


def test_the_same_again_costs_nothing_and_more_documents_little(tmp_path: Path) -> None:
    with chat_server(good) as server, Store(tmp_path) as store:
        first = make_dataset(corpus(), writer(server.url), n=10, store=store)
        again = make_dataset(corpus(), writer(server.url), n=10, store=store)
        assert first.dataset.splits == again.dataset.splits
        assert len(server.requests) == 10
        make_dataset(corpus(31), writer(server.url), n=10, store=store)
        assert len(server.requests) <= 11
        other = make_dataset(corpus(), writer(server.url), n=10, seed=1, store=store)
        assert first.dataset.splits != other.dataset.splits


def test_a_writer_that_writes_nothing_is_not_asked_on_and_on(caplog: pytest.LogCaptureFixture) -> None:
    with (
        chat_server(lambda request, number: {"status": 400, "body": "no"}) as server,
        pytest.raises(DataError, match="nothing was written for 20 passages"),
    ):
        make_dataset(corpus(), writer(server.url), n=20)
    assert len(server.requests) == 20
    assert "no question is asked about them" in caplog.text


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ConfigError, match="task: must be 'questions' of a summarizer that writes questions"):
        make_dataset(corpus(2), ChatModel("tiny", base_url="http://127.0.0.1:1/v1"), n=1)
    short = Corpus.from_documents([Document("a", "short"), Document("b", "")])
    with pytest.raises(DataError, match="no passage of the 2 documents has 200 characters"):
        make_dataset(short, writer("http://127.0.0.1:1/v1"), n=1)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("How long is a permit valid?", None),
        ("What fee do late skippers pay?", None),
        ("Why?", "too short"),
        ("\u505c\u6cca\u8a31\u53ef\u8b49\u7684\u6709\u6548\u671f\u662f\u591a\u4e45", None),
        ("What is the main topic of this passage?", "about the text itself"),
        ("What did the authors conclude?", "about the text itself"),
        ("Which of the fees mentioned above is highest?", "about the text itself"),
        ("How does the document type affect parsing?", "about the text itself"),  # the price of a simple rule
        ("Which table lists fees?", None),
        ("Is it true that the harbour office issues mooring permits for a period?", "copied from the text"),
        ("harbour office mooring permits", None),
        ("Questions about permits:", "no question"),
    ],
)
def test_trivial_questions(question: str, reason: str | None) -> None:
    assert reason == why_trivial(question, TEXT.format(n=3))


def test_the_longest_run_in_words() -> None:
    assert copied("Who issues Mooring, PERMITS for a Boat?", "he issues mooring permits for boats; for a boat") == 4
    assert copied("one two", "three") == 0


COMMAND = """
import sys
from rag.cli import main
main()
"""


@pytest.mark.slow
def test_killed_half_way_it_goes_on(tmp_path: Path) -> None:
    rows = [json.dumps({"_id": document.id, "text": document.text}) for document in corpus(80)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    with chat_server(lambda request, number: good(request) | {"delay": 0.02}) as server:
        (tmp_path / "writer.yaml").write_text(
            f"type: chat_model\nmodel: tiny\nbase_url: {server.url}\ntask: questions\nconcurrency: 4\n"
        )
        command = [sys.executable, "-c", COMMAND, "datasets", "make", "--corpus", "corpus.jsonl", "--writer"]
        command += ["writer.yaml", "--out", "made", "--n", "60", "--store", "store"]
        child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(server.requests) < 30 and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert -signal.SIGKILL == child.returncode
        assert not (tmp_path / "made").exists()
        before = len(server.requests)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
        assert done.stdout.startswith("made: 80 documents; queries: test 60")
        again = len(server.requests) - before
        assert 60 - before <= again <= 60 - before + 8  # 4 under way, and 4 answered and not yet written down
    assert len(load_dataset(tmp_path / "made").split("test").queries) == 60


CONFIGS = sorted((Path(__file__).parents[4] / "configs" / "writers").glob("*.yaml"))


def test_writers_that_come_along_write_questions() -> None:
    assert CONFIGS
    for path in CONFIGS:
        author = load_component(path, Summarizer)  # type: ignore[type-abstract]
        assert author.spec.arguments["task"] == "questions"
