"""Ask chat models for key texts, in parallel, with retries and counts."""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing
from contextvars import copy_context
from functools import partial
from itertools import islice
from socket import gaierror
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from rag import tracing
from rag.component import Runtime
from rag.errors import ConfigError, ModelError
from rag.listening import Listener, listener
from rag.summarizer import Source, Summarizer, Summary
from rag.summarizers.answers import (
    Unusable,
    log_probability_of,
    read_answer,
    text_of,
    tokens_of,
    wants_structure,
    without_thoughts_heard,
)
from rag.summarizers.prompts import Task, check_template, messages, prompted, template_of
from rag.summarizers.waiting import LONGEST_WAIT, Pause, asked_to_wait
from rag.tracing import names

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["ChatSummarizer"]

_REFUSED = {401: "the key was not accepted", 403: "the key may not use it", 404: "there is no such model or address"}
"""Status codes that no other text would change: the run stops."""
_NOT_AGAIN = frozenset({400, 413, 422})
"""Status codes that the same request would get again: the text is too long, or was refused by the provider."""
_SECRET = re.compile(r"key|token$|secret|password|authorization|headers", re.IGNORECASE)
_HEADERS = re.compile(r"headers", re.IGNORECASE)
_NO_CONNECTION = {"ConnectError", "ConnectTimeout"}
"""Exceptions of httpx for which no connection was made."""
_WITH_PASSWORD = re.compile(r"\w+://[^/\s]*@")
_CHARACTERS_PER_TOKEN = 4
"""Approximate characters per token of English, for estimates only."""


class ChatSummarizer(Summarizer):
    """Asks a LangChain chat model. A problem with one text (a refusal, an empty or cut reply, a timeout) affects only
    that text; a rejected key, an unknown model or an unreachable server stops the run.

    Args:
        task: Kind of text to write when no prompt is given: a ``summary`` (of a conversation: what the user wants at
            its end), ``questions`` that the text answers, or the ``answer`` that a text might give to a question (HyDE,
            Gao et al. 2023). With ``prompt`` the text is the whole prompt.
        prompt: Template for texts, with ``{text}`` for the text and ``{n}`` for the number of texts wanted.
        conversation_prompt: Template for conversations.
        examples: Examples shown before every text, each with an ``input`` and its ``output``.
        n_texts: Key texts per text; several are requested as structured output if the model supports it.
        max_input: Longest input in characters: a longer text loses its end, a longer conversation its beginning; a
            longer prompt (task ``prompt``) is not sent.
        max_output: Longest key text in characters; a longer one is discarded as a misunderstanding.
        concurrency: Number of concurrent requests.
        requests_per_minute: Maximum number of requests started per minute; None sets no limit.
        retries: Number of retries of a request after an overload, a server error, a broken connection, a timeout or an
            unreadable reply.
        backoff: Longest wait in seconds before the first retry; it doubles each time, up to a minute, and is drawn at
            random below that. If a server states a time (``Retry-After``), all requests wait at least that long; if it
            is more than ten minutes, there is no retry.
    """

    _libraries = ()

    def __init__(
        self,
        *,
        task: Task = "summary",
        prompt: str | None = None,
        conversation_prompt: str | None = None,
        examples: list[dict[str, str]] | None = None,
        n_texts: Annotated[int, Field(ge=1, le=50)] = 1,
        max_input: Annotated[int, Field(ge=1)] = 24_000,
        max_output: Annotated[int, Field(ge=1)] = 4_000,
        concurrency: Annotated[int, Field(ge=1, le=1024), Runtime()] = 8,
        requests_per_minute: Annotated[float, Field(gt=0), Runtime()] | None = None,
        retries: Annotated[int, Field(ge=0), Runtime()] = 5,
        backoff: Annotated[float, Field(ge=0), Runtime()] = 2.0,
    ) -> None:
        check_template(prompt, "prompt")
        check_template(conversation_prompt, "conversation_prompt")
        for example in examples or []:
            if set(example) != {"input", "output"}:
                raise ConfigError(f"each must have an input and an output, got {sorted(example)}", parameter="examples")
        self.task: Task = task
        self.prompt = prompt
        self.conversation_prompt = conversation_prompt
        self.examples = examples
        self.n_texts = n_texts
        self.max_input = max_input
        self.max_output = max_output
        self.concurrency = concurrency
        self.requests_per_minute = requests_per_minute
        self.retries = retries
        self.backoff = backoff

    @abstractmethod
    def chat_model(self) -> AbstractContextManager[BaseChatModel]:
        """The model, whose connections are closed on exit.

        Raises:
            MissingExtraError: The provider's package is not installed.
            ModelError: It cannot be created, for example without a key.
        """

    def secret(self) -> str | None:
        """The key of the requests, which must not appear in messages."""
        return None

    def prompted(self) -> Self:
        return prompted(self)

    def estimate(self, sources: Sequence[Source]) -> str:
        characters = sum(len(text) for source in sources for _, text in self._messages(source))
        tokens_in = characters / _CHARACTERS_PER_TOKEN
        tokens_out = len(sources) * self.n_texts * min(self.max_output / _CHARACTERS_PER_TOKEN, 100)
        money = self.price(tokens_in, tokens_out)
        cost = "" if money is None else f", about {money:.2f}"
        return f"{self.type}: {len(sources)} calls, about {tokens_in + tokens_out:,.0f} tokens{cost}"

    def write(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        from langchain_core.rate_limiters import InMemoryRateLimiter

        limiter = None
        if self.requests_per_minute is not None:
            limiter = InMemoryRateLimiter(
                requests_per_second=self.requests_per_minute / 60, check_every_n_seconds=0.01, max_bucket_size=1
            )

        stop, reached, pause = Event(), Event(), Pause()
        todo = iter(enumerate(sources))
        under_way: dict[Future[Summary], int] = {}
        with self.chat_model() as chat, ThreadPoolExecutor(self.concurrency, "summarizer") as threads:
            model = wants_structure(chat, self.n_texts)
            try:
                while True:
                    # Submit at most `concurrency` requests at a time, so that an error stops the run at once. Spans go
                    # below the caller's.
                    for index, source in islice(todo, self.concurrency - len(under_way)):
                        ask = partial(self._ask, model, source, limiter, stop, reached, pause)
                        under_way[threads.submit(copy_context().run, ask)] = index
                    if not under_way:
                        return
                    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield under_way.pop(future), future.result()
            finally:
                stop.set()  # ends the waits for retries
                threads.shutdown(wait=False, cancel_futures=True)

    # -- one request ------------------------------------------------------------------------------------------------

    def _messages(self, source: Source) -> list[tuple[str, str]]:
        template = template_of(self.task, source, self.prompt, self.conversation_prompt)
        return messages(template, source, self.n_texts, self.examples or [], self.max_input)

    def _answered(self, model: Any, messages: list[tuple[str, str]], listen: Listener | None) -> Any:
        """What the model answers, with a span of the GenAI conventions around the request."""
        name = self.spec.arguments.get("model")
        about = {names.OPERATION: "chat", names.MODEL: str(name or self.type)}
        with tracing.span(f"chat {name or self.type}", "LLM", about) as span:
            span.content(lambda: {names.INPUT_MESSAGES: json.dumps(messages), names.INPUT: messages[-1][1]})
            answer = model.invoke(messages) if listen is None else _listened(model, messages, listen)
            total, written = tokens_of(answer)
            read = total - written
            span.set({names.INPUT_TOKENS: read, names.OUTPUT_TOKENS: written, names.MONEY: self.price(read, written)})
            span.set(dict(zip(names.OPENINFERENCE_TOKENS, (read, written), strict=True)))
            span.content(lambda: {names.OUTPUT: text_of(answer)})
        return answer

    def _ask(self, model: Any, source: Source, limiter: Any, stop: Event, reached: Event, pause: Pause) -> Summary:
        """One summary, or its problem; ``reached`` is set as soon as the server has replied."""
        from tenacity import (
            Retrying,
            retry_if_exception,
            sleep_using_event,
            stop_after_attempt,
            stop_when_event_set,
            wait_random_exponential,
        )

        if self.task == "prompt" and len(source.text) > self.max_input:
            why = f"the prompt has {len(source.text):,} characters, more than max_input ({self.max_input:,})"
            return Summary((), why)
        calls = tokens = written = 0
        log_probability: float | None = None
        start = time.perf_counter()
        listen, heard = listener(), False

        def hear(piece: str) -> None:
            nonlocal heard
            heard = heard or bool(piece)
            assert listen is not None
            listen(piece)

        def request() -> tuple[str, ...]:
            nonlocal calls, tokens, written, log_probability
            pause.keep(stop)
            if limiter is not None:
                limiter.acquire(blocking=True)
            calls += 1
            try:
                answer = self._answered(model, self._messages(source), hear if listen else None)
            except Exception as error:
                if not _nobody_there(error):
                    reached.set()
                if (seconds := asked_to_wait(error)) <= LONGEST_WAIT:
                    pause.ask(seconds)
                raise
            reached.set()
            used, of_these = tokens_of(answer)
            tokens, written, log_probability = tokens + used, written + of_these, log_probability_of(answer)
            texts = read_answer(answer, self.n_texts, in_words=self.task != "prompt")
            if any(len(text) > self.max_output for text in texts):
                raise Unusable(f"it wrote {max(map(len, texts))} characters, more than max_output ({self.max_output})")
            return texts

        def done(texts: tuple[str, ...], problem: str = "") -> Summary:
            return Summary(texts, problem, calls, tokens, written, time.perf_counter() - start, log_probability)

        again = Retrying(
            stop=stop_after_attempt(1 + self.retries) | stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            wait=wait_random_exponential(multiplier=self.backoff, max=60),
            retry=retry_if_exception(lambda error: not heard and _may_help(error)),  # what was heard is not taken back
            reraise=True,
        )
        try:
            return done(again(request))
        except Unusable as error:
            return done((), str(error))
        except Exception as error:
            status, said = getattr(error, "status_code", None), _one_line(error, self.secret())
            if status in _REFUSED:
                raise ModelError(f"{self.spec.label}: {_REFUSED[status]} ({status}): {said}") from None
            if _nobody_there(error) and not reached.is_set():
                url = self.spec.arguments.get("base_url")
                address = f" to {url}" if isinstance(url, str) else ""
                raise ModelError(f"{self.spec.label}: no connection{address}, tried {calls} times: {said}") from None
            seconds = asked_to_wait(error)
            later = f" (it asks to wait {seconds:,.0f} s)" if seconds > LONGEST_WAIT else ""
            return done((), f"{type(error).__name__}: {said}{later}")


def _listened(model: Any, messages: list[tuple[str, str]], listen: Listener) -> Any:
    """What a model answers, its pieces handed to a listener as they come; a model that has none answers as a whole.

    Raises:
        Unusable: The stream broke off. Not every server marks the end, so only of those that do.
    """
    if not hasattr(model, "stream"):
        return model.invoke(messages)
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.ai import add_ai_message_chunks

    chunks, hear = [], without_thoughts_heard(listen)
    with closing(model.stream(messages)) as stream:  # closed, the server hears of it when a listener has had enough
        for message in stream:
            chunks.append(message)
            hear(text_of(message) if isinstance(message, AIMessageChunk) else "")
    if len(chunks) == 1:
        return chunks[0]
    answer = add_ai_message_chunks(*chunks)
    about = answer.response_metadata
    if about.get("model_provider") == "openai" and not about.get("finish_reason"):
        raise Unusable("its answer broke off", again=True)
    return answer


def _may_help(error: BaseException) -> bool:
    """Whether a retry may help."""
    if isinstance(error, Unusable):
        return error.again
    if asked_to_wait(error) > LONGEST_WAIT:
        return False
    return isinstance(error, Exception) and getattr(error, "status_code", None) not in {*_REFUSED, *_NOT_AGAIN}


def _nobody_there(error: BaseException | None) -> bool:
    """Whether no connection was made at all, according to the exception or its causes."""
    while error is not None:
        if isinstance(error, (ConnectionRefusedError, gaierror)) or type(error).__name__ in _NO_CONNECTION:
            return True
        error = error.__cause__ or error.__context__
    return False


def _one_line(error: Exception, secret: str | None) -> str:
    """The message of an error without possible keys, which providers quote back."""
    text = str(error).replace(secret, "[key]") if secret else str(error)
    text = next(iter(text.strip().splitlines()), "")
    return re.sub(r"\b(sk|key|Bearer)[-_ ][\w*-]{6,}", "[key]", text)[:200]


def secret_free(options: Mapping[str, Any] | None, parameter: str) -> None:
    """Refuse keys and passwords in options, at any depth: they would be written into resolved files and the store.

    Raises:
        ConfigError: An option may be a secret; the message names the first.
    """
    for path, value in _places(options or {}):
        name = path.rpartition(".")[2]
        # Deeper mappings may be a schema, whose properties have any name; a secret is a text.
        suspect = _SECRET if "." not in path or isinstance(value, str) else _HEADERS
        if suspect.search(name) or (isinstance(value, str) and _WITH_PASSWORD.match(value)):
            raise ConfigError(
                f"'{path}' may hold a secret: keys come from the environment (api_key_variable names the variable)",
                parameter=parameter,
            )


def _places(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All values inside mappings and lists, with their paths."""
    inside: Iterable[tuple[Any, Any]] = enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, inner in value.items() if isinstance(value, Mapping) else inside:
        inner_path = f"{path}.{name}" if path else str(name)
        yield inner_path, inner
        yield from _places(inner, inner_path)
