"""The real client of OpenAI against a small server of the tests: real sockets, and everything that can go wrong."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage

from rag import ConfigError, IncompleteError, Ledger, MissingExtraError, ModelError, Source, Store, Turn
from rag.calls import too_many_failed
from rag.costs import check_calls
from rag.listening import listening
from rag.summarizers import ChatModel, LangChainSummarizer
from rag.summarizers.answers import without_thoughts_heard
from rag.summarizers.waiting import asked_to_wait
from tests.chat_server import asked, chat_server, summary_of

SOURCES = [Source(f"d{number}", f"text {number}") for number in range(20)]


def chat(server, **arguments):
    given = {"base_url": server.url, "backoff": 0.0, "timeout": 5.0} | arguments
    return ChatModel("tiny", **given)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


@pytest.mark.parametrize("streaming", [False, True])
def test_every_text_has_its_summary_and_calls_and_tokens_are_counted(server, streaming):
    ledger = Ledger()
    summaries = chat(server, streaming=streaming).summarize(SOURCES, ledger=ledger)
    assert [(f"summary of text {number}",) for number in range(20)] == summaries.texts
    assert summaries.problems == {}
    assert (20, 240) == (ledger.total.llm_calls, ledger.total.llm_tokens)
    assert {bool(request.get("stream")) for request in server.requests} == {streaming}
    assert {(request["model"], request["temperature"]) for request in server.requests} == {("tiny", 0.0)}


def test_what_is_in_the_store_is_not_asked_for_again(server, tmp_path):
    store, ledger = Store(tmp_path), Ledger()
    first = chat(server).summarize(SOURCES[:8], store=store)
    again = chat(server, concurrency=2, retries=0).summarize(SOURCES, store=store, ledger=ledger)
    assert first.texts == again.texts[:8]
    assert len(server.requests) == 20
    assert ledger.total.llm_calls == 20  # as they were when they were written
    for other in ({"prompt": "Short: {text}"}, {"temperature": 0.5}, {"n_texts": 2}, {"examples": []}):
        before = len(server.requests)
        chat(server, **other).summarize(SOURCES[:2], store=store)
        assert before + 2 == len(server.requests), other


def test_texts_that_are_alike_are_asked_for_once(server):
    summaries = chat(server).summarize([Source("a", "same"), Source("b", "same"), Source("c", " ")])
    assert summaries.texts == [("summary of same",), ("summary of same",), (" ",)]
    assert len(server.requests) == 1


def test_prompts_examples_and_conversations(server):
    turns = (Turn("user", "hello"), Turn("system", "yes?"), Turn("user", "a {room} please"))
    writer = chat(
        server,
        prompt="P {n} {text}",
        conversation_prompt="C {text}",
        examples=[{"input": "long", "output": "short"}],
        max_input=30,
    )
    writer.summarize([Source("a", "x" * 50), Source("b", "", turns), Source("c", "user: hello", turns)])
    spoken = "user: hello\nsystem: yes?\nuser: a {room} please"[-30:]
    expected = {f"P 1 {'x' * 30}", f"C {spoken}"}
    assert {asked(request) for request in server.requests} == expected
    assert {tuple(message["content"] for message in request["messages"][:2]) for request in server.requests} == {
        ("P 1 long", "short"),
        ("C long", "short"),
    }


def test_no_more_requests_are_under_way_than_allowed():
    with chat_server(lambda request, number: {"body": "x", "delay": 0.05}) as server:
        chat(server, concurrency=3).summarize(SOURCES)
        assert server.most_busy == 3


def test_no_more_requests_are_begun_than_the_rate_allows(server):
    start = time.perf_counter()
    chat(server, requests_per_minute=1200).summarize(SOURCES[:9])
    assert time.perf_counter() - start >= 8 / 20


FAULTS = {
    "too many requests": {"status": 429, "body": "slow down", "headers": {"Retry-After": "0"}},
    "server error": {"status": 500, "body": "oops"},
    "unavailable": {"status": 503, "body": "later"},
    "malformed JSON": {"raw": '{"choices": [{'},
    "not the protocol": {"raw": '{"hello": 1}'},
    "nothing": {"body": ""},
    "no answer in time": {"body": "late", "delay": 1.0},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_passes_is_asked_for_again(fault):
    with chat_server(lambda request, number: fault if number < 2 else {"body": summary_of(request)}) as server:
        ledger = Ledger()
        summaries = chat(server, timeout=0.3).summarize(SOURCES[:1], ledger=ledger)
        assert summaries.texts == [("summary of text 0",)]
        assert 3 == len(server.requests) == ledger.total.llm_calls


LASTING = {
    "refusal": ({"refusal": "I will not"}, "it refused: I will not", 1),
    "refusal in words": ({"body": "I'm sorry, but I can't help with that."}, "it refused: I'm sorry", 1),
    "refusal in print": ({"body": "I\u2019m sorry, but I can\u2019t help."}, "it refused: I\u2019m sorry", 1),
    "filtered": ({"body": "x", "finish": "content_filter"}, "it refused", 1),
    "cut off": ({"body": "and so on and", "finish": "length"}, "cut off at max_tokens", 1),
    "too long": ({"body": "long " * 2000}, "more than max_output (4000)", 1),
    "not to its liking": ({"status": 400, "body": "context too long"}, "context too long", 1),
    "nothing, ever": ({"body": "  "}, "answered with nothing", 3),
    "never in time": ({"body": "late", "delay": 1.0}, "Timeout", 3),
    "error after error": ({"status": 500, "body": "oops"}, "oops", 3),
    "never JSON": ({"raw": "<html>"}, "JSONDecodeError", 3),
}


@pytest.mark.parametrize(("fault", "why", "calls"), LASTING.values(), ids=LASTING)
def test_what_fails_for_good_is_keyed_by_its_own_text_and_listed(fault, why, calls, tmp_path, caplog):
    bad = re.compile(r"\btext 3$")

    def answer(request, number):
        return fault if bad.search(asked(request)) else {"body": summary_of(request)}

    with chat_server(answer) as server, caplog.at_level(logging.WARNING, "rag"):
        writer = chat(server, retries=2, timeout=0.3)
        store = Store(tmp_path)
        summaries = writer.summarize(SOURCES[:6], store=store)
        assert summaries.texts[3] == ("text 3",)
        assert list(summaries.problems) == ["d3"]
        assert why in summaries.problems["d3"]
        assert summaries.texts[5] == ("summary of text 5",)
        assert f"made nothing of 1 of 6 texts: 'd3' ({summaries.problems['d3']}); they are keyed" in caplog.text
        assert 5 + calls == len(server.requests)
        with pytest.raises(ModelError, match="made nothing of 1 of 6 texts: 'd3'"):
            writer.summarize(SOURCES[:6], store=store, strict=True)
        assert 5 + 2 * calls == len(server.requests)  # the good ones were kept


def test_a_server_that_says_when_is_not_asked_before():
    """Six attempts, which used to be over in two seconds (case A10)."""
    moments = []

    def answer(request, number):
        moments.append(time.monotonic())
        return {"status": 429, "headers": {"Retry-After": "1"}} if number < 3 else {"body": summary_of(request)}

    with chat_server(answer) as server:
        summaries = chat(server, concurrency=3).summarize(SOURCES[:6])
    assert summaries.problems == {}
    # Requests that were under way when the first refusal came may arrive beside it; none starts in the second after.
    waits = [later - refused for refused in moments[:3] for later in moments if later > refused]
    assert not [wait for wait in waits if 0.3 < wait < 0.95]
    assert len(moments) == 9


def test_a_date_is_read_by_the_servers_clock():
    """The server is years behind."""
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:01 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    moments = []

    def answer(request, number):
        moments.append(time.monotonic())
        return {"status": 503, "headers": headers} if number < 1 else {"body": summary_of(request)}

    with chat_server(answer) as server:
        assert chat(server).summarize(SOURCES[:1]).problems == {}
    assert 0.95 <= moments[1] - moments[0] < 5


def test_a_server_that_asks_for_too_long_is_not_asked_again():
    fault = {"status": 429, "body": "quota", "headers": {"Retry-After": "86400"}}
    with chat_server(lambda request, number: fault) as server:
        summaries = chat(server).summarize(SOURCES[:1])
        assert len(server.requests) == 1
    assert summaries.problems["d0"].endswith("(it asks to wait 86,400 s)")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "8"}, 8.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 60.0),
        ({"Retry-After": "Thu, 01 Jan 2015 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({"Retry-After": "-1"}, 0.0),
        ({"Retry-After": "nan"}, 0.0),
        ({}, 0.0),
    ],
)
def test_what_a_header_asks_for(headers, expected):
    import httpx

    class OfAClient(Exception):
        """As Ollama's: it holds no response, but what it was raised for does."""

    response = httpx.Response(429, headers=headers)
    with pytest.raises(OfAClient) as caught:
        try:
            raise httpx.HTTPStatusError("no", request=httpx.Request("GET", "http://x"), response=response)
        except httpx.HTTPStatusError:
            raise OfAClient from None
    assert asked_to_wait(caught.value) == expected


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_every_provider_waits(provider):
    pytest.importorskip(f"langchain_{provider}")
    moments = []

    def answer(request, number):
        moments.append(time.monotonic())
        raw = {"model": "m", "message": {"role": "assistant", "content": "done"}, "done": True, "done_reason": "stop"}
        good = {"raw": json.dumps(raw)} if provider == "ollama" else {"body": "done"}
        return {"status": 429, "headers": {"Retry-After": "1"}} if number < 1 else good

    with chat_server(answer) as server:
        url = server.url.removesuffix("/v1") if provider == "ollama" else server.url
        model = ChatModel("tiny", provider=provider, base_url=url, backoff=0.0)
        assert model.summarize(SOURCES[:1]).texts == [("done",)]
    assert moments[1] - moments[0] >= 0.95


def test_what_failed_is_counted_by_stage_and_model():
    bad = re.compile(r"\btext [37]$")
    fault = {"status": 500, "body": "oops"}
    with chat_server(lambda request, _: fault if bad.search(asked(request)) else {"body": "fine"}) as server:
        ledger = Ledger()
        with ledger.stage("retriever"):
            chat(server, retries=0).summarize(SOURCES[:10], ledger=ledger)
    (calls,) = ledger.calls.values()
    assert ("chat_model 'tiny'", "retriever", 10, 2, ["d3", "d7"]) == (
        calls.model,
        calls.stage,
        calls.asked,
        calls.failed,
        calls.examples,
    )
    assert too_many_failed([calls], 0.2) is None
    with pytest.raises(IncompleteError, match=r"chat_model 'tiny' gave nothing for 2 of 10 texts \(retriever\): "):
        check_calls(ledger, 0.19)


@pytest.mark.parametrize(
    ("status", "why"), [(401, "the key was not accepted"), (403, "the key may not use it"), (404, "no such model")]
)
def test_what_no_other_text_would_change_stops_the_run(status, why):
    with chat_server(
        lambda request, number: {"status": status, "body": "Incorrect API key: sk-abcdef123456"}
    ) as server:
        with pytest.raises(ModelError, match=why) as caught:
            chat(server, concurrency=2).summarize(SOURCES)
        assert len(server.requests) <= 4
        assert "sk-abcdef" not in str(caught.value)


def test_a_server_that_nobody_reaches_stops_the_run():
    with chat_server() as server:
        gone = server.url
    with pytest.raises(ModelError) as caught:
        ChatModel("tiny", base_url=gone, backoff=0.0, retries=1).summarize(SOURCES)
    assert str(caught.value) == f"'chat_model': no connection to {gone}, tried 2 times: Connection error."


def test_a_server_that_goes_away_later_is_the_problem_of_the_texts_left():
    class Leaving(FakeListChatModel):
        def _call(self, *args, **kwargs):
            if self.i == 2:
                raise ConnectionRefusedError("gone")
            return super()._call(*args, **kwargs)

    model = Leaving(responses=["one", "two", "three"])
    summaries = LangChainSummarizer(model, concurrency=1, retries=0).summarize(SOURCES[:5])
    assert summaries.texts == [("one",), ("two",), ("text 2",), ("text 3",), ("text 4",)]
    assert set(summaries.problems.values()) == {"ConnectionRefusedError: gone"}


def test_several_texts_are_asked_for_as_structured_output():
    with chat_server(lambda request, number: {"body": json.dumps({"texts": ["one", "two ", ""]})}) as server:
        summaries = chat(server, task="questions", n_texts=3).summarize(SOURCES[:1])
        assert summaries.texts == [("one", "two")]
        assert server.requests[0]["response_format"]["type"] == "json_schema"
        assert "Write 3 questions" in asked(server.requests[0])


@pytest.mark.parametrize(
    "body", ['["a?", "b?"]', "1. a?\n2. b?\n3. c?", "- a?\n\n* b?", '```json\n{"questions": ["a?", "b?"]}\n```']
)
def test_a_model_without_structured_output_may_answer_with_any_list(body):
    summaries = LangChainSummarizer(FakeListChatModel(responses=[body]), n_texts=2).summarize(SOURCES[:1])
    assert summaries.texts == [("a?", "b?")]


def test_any_langchain_chat_model_will_do(tmp_path):
    writer = LangChainSummarizer(FakeListChatModel(responses=["short"]), concurrency=1)
    assert writer.summarize(SOURCES, store=Store(tmp_path)).texts == [("short",)] * 20
    other = LangChainSummarizer(FakeListChatModel(responses=["other"]), concurrency=1)
    assert other.summarize(SOURCES[:1], store=Store(tmp_path)).texts == [("other",)]  # nobody knows it: nothing is kept
    named = LangChainSummarizer(FakeListChatModel(responses=["short"]), name="fake 1")
    named.summarize(SOURCES[:1], store=Store(tmp_path))
    again = LangChainSummarizer(FakeListChatModel(responses=["other"]), name="fake 1")
    assert again.summarize(SOURCES[:1], store=Store(tmp_path)).texts == [("short",)]


# -- keys ---------------------------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment_and_is_written_nowhere(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", "sk-very-secret-0123456789")
    writer = chat(server, api_key_variable="MY_KEY")
    with caplog.at_level(logging.DEBUG):
        writer.summarize(SOURCES[:3], store=Store(tmp_path))
    assert set(server.keys) == {"Bearer sk-very-secret-0123456789"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (written.decode("latin1"), json.dumps(writer.spec.to_config()), repr(writer), caplog.text):
        assert "very-secret" not in text
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ModelError, match="the environment variable MY_KEY with the key is not set"):
        writer.summarize(SOURCES[:1])


@pytest.mark.parametrize("status", [401, 422])
def test_a_key_of_any_shape_is_cut_out_of_what_a_server_says(status, monkeypatch):
    monkeypatch.setenv("MY_KEY", "gsk.very+secret")
    answer = {"status": status, "body": "Incorrect API key provided: gsk.very+secret"}
    with (
        chat_server(lambda request, number: answer) as server,
        pytest.raises(ModelError, match="Incorrect API") as caught,
    ):
        chat(server, api_key_variable="MY_KEY").summarize(SOURCES[:1], strict=True)
    assert "secret" not in str(caught.value)


def test_a_server_of_ones_own_needs_no_key(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chat(server).summarize(SOURCES[:1])
    assert server.keys == ["Bearer none"]
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        ChatModel("tiny").summarize(SOURCES[:1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"api_key": "x"}}, "'api_key' may hold a secret"),
        ({"options": {"default_headers": {}}}, "'default_headers' may hold a secret"),
        ({"options": {"extra_body": {"api_key": "x"}}}, "'extra_body.api_key' may hold a secret"),
        ({"options": {"model_kwargs": {"extra_headers": {"X": "x"}}}}, "'model_kwargs.extra_headers' may hold"),
        ({"options": {"extra_body": {"servers": [{"password": "x"}]}}}, "'extra_body.servers.0.password' may hold"),
        ({"options": {"openai_proxy": "http://me:pw@host"}}, "'openai_proxy' may hold a secret"),
        ({"base_url": "http://me:pw@host/v1"}, "must hold neither user, password nor query"),
        ({"base_url": "http://token@host/v1"}, "must hold neither user, password nor query"),
        ({"prompt": "no place"}, "must have the placeholder {text}, got 'no place'"),
        ({"conversation_prompt": "{txt}"}, "must have the placeholder {text}"),
        ({"examples": [{"input": "x"}]}, "each must have an input and an output, got ['input']"),
    ],
)
def test_arguments_that_are_no_good(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ChatModel("tiny", **arguments)


def test_a_provider_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_ollama", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'rag-pipelines[ollama]'")):
        ChatModel("tiny", provider="ollama").summarize(SOURCES[:1])


def test_an_option_that_the_client_does_not_take_is_told_in_one_line(server):
    with pytest.raises(ModelError) as caught:
        chat(server, options={"n": "many"}).summarize(SOURCES[:1])
    assert str(caught.value).startswith("chat_model 'tiny' of 'openai' cannot be used: ")
    assert "\n" not in str(caught.value)


def test_what_it_will_take_is_told_first():
    writer = ChatModel("tiny", prompt="{text}", max_output=400, price_input=2.0, price_output=10.0)
    text = writer.estimate([Source(str(number), "x" * 4000) for number in range(100)])
    assert text == "chat_model: 100 calls, about 110,000 tokens, about 0.30"
    assert (
        ChatModel("tiny", prompt="{text}").estimate([Source("a", "x" * 40)]) == "chat_model: 1 calls, about 110 tokens"
    )


# -- pieces -----------------------------------------------------------------------------------------------------------


def heard(writer, **options):
    """The answer to a prompt, and the pieces it came in."""
    pieces: list[str] = []
    with listening(pieces.append):
        [answer] = writer.prompted().ask(["apples?"], **options)
    return answer, pieces


def test_a_listener_hears_what_is_written(server):
    server.answer = lambda request, number: {"body": "Apples are red."}
    answer, pieces = heard(chat(server))
    assert answer.texts == ("Apples are red.",)
    assert [piece for piece in pieces if piece] == ["Apples ", "are ", "red. "]
    assert (answer.llm_calls, answer.llm_tokens, answer.llm_tokens_written) == (1, 12, 5)
    assert server.requests[0]["stream"] is True


def test_nobody_hears_thoughts(server):
    server.answer = lambda request, number: {"body": "<think> Which [2]? </think> They are red."}
    answer, pieces = heard(chat(server))
    assert (answer.texts, "".join(pieces).strip()) == (("They are red.",), "They are red.")


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a < b</think>c", "c"),
        ("\n<think>a</think>\n\nc</think>", "\n\nc</think>"),
        ("<th is no tag", "<th is no tag"),
        ("  c <think>", "  c <think>"),
        ("<think>never ends", ""),
        ("", ""),
    ],
)
def test_thoughts_in_pieces(text, size, expected):
    pieces: list[str] = []
    hear = without_thoughts_heard(pieces.append)
    for start in range(0, len(text), size):
        hear(text[start : start + size])
    assert "".join(pieces) == expected


@pytest.mark.parametrize("silently", [False, True])
def test_what_was_heard_is_not_begun_again(server, silently):
    server.answer = lambda request, number: {"body": "Apples are red.", "broken": 2, "silently": silently}
    answer, pieces = heard(chat(server))
    assert (answer.texts, "".join(pieces), len(server.requests)) == ((), "Apples are ", 1)
    assert answer.problem
    assert (answer.problem == "its answer broke off") == silently


def test_what_was_not_heard_is_asked_again(server):
    server.answer = lambda request, number: {"status": 503} if not number else {"body": "red"}
    answer, pieces = heard(chat(server))
    assert (answer.texts, "".join(pieces).strip(), answer.llm_calls) == (("red",), "red", 2)


def test_a_listener_that_has_had_enough_ends_it(server):
    server.answer = lambda request, number: {"body": "word " * 1000, "pause": 0.005}

    def enough(piece: str) -> None:
        raise RuntimeError("enough")

    with listening(enough):
        [answer] = chat(server).prompted().ask(["apples?"])
    assert (answer.texts, answer.problem) == ((), "RuntimeError: enough")
    while not server.left:
        time.sleep(0.005)


def test_a_model_without_pieces_is_heard_at_the_end():
    class Whole:
        def invoke(self, messages):
            return AIMessage("red")

        def with_structured_output(self, schema): ...

    assert heard(LangChainSummarizer(Whole()))[0].texts == ("red",)
    answer, pieces = heard(LangChainSummarizer(FakeListChatModel(responses=["red"])))
    assert (answer.texts, "".join(pieces)) == (("red",), "red")
