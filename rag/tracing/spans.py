"""Opening spans, and the switch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from rag.errors import MissingExtraError
from rag.tracing import names
from rag.tracing.names import Kind

__all__ = ["Span", "current", "instrument", "is_on", "joined", "span", "under", "uninstrument"]

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_SHOWN = 20
"""Documents of a result on a span, at most."""
_TEXT = 2_000
"""Characters of a text on a span, at most."""

_tracer: Any = None
_content = False


class Span:
    """A span that is open, or, where tracing is off, nothing.

    Args:
        inner: The span of OpenTelemetry; None for nothing.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def set(self, attributes: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Set attributes; those that are None are left out. A function is called only where tracing is on."""
        if self._inner is not None:
            values = attributes() if callable(attributes) else attributes
            self._inner.set_attributes({name: value for name, value in values.items() if value is not None})

    def rename(self, name: str) -> None:
        """Give it a name that is known only now."""
        if self._inner is not None:
            self._inner.update_name(name)

    def content(self, attributes: Callable[[], Mapping[str, Any]]) -> None:
        """Set attributes that hold what was asked or answered, where that is wanted; long texts lose their end."""
        if self._inner is not None and _content:
            values = attributes()
            self.set({name: v[:_TEXT] if isinstance(v, str) else v for name, v in values.items()})

    def costs(self, costs: Any) -> None:
        """Set what a step has spent: a :class:`rag.costs.Costs`; None for nothing."""
        if self._inner is not None and costs is not None:
            spent = {name: getattr(costs, field) for field, name in names.COSTS.items()}
            self.set({name: value for name, value in spent.items() if value})

    def returned(self, results: Sequence[Any]) -> None:
        """Set what queries have found: a sequence of :class:`rag.SearchResult`."""
        if self._inner is None:
            return
        self.set({names.N_QUERIES: len(results), names.N_FOUND: sum(len(result) for result in results)})
        if _content and len(results) == 1:
            self.content(lambda: _shown(results[0]))

    def failed(self, error: BaseException) -> None:
        """Mark it as failed. The message is content: it may hold what was asked."""
        if self._inner is not None:
            from opentelemetry.trace import StatusCode

            self._inner.set_status(StatusCode.ERROR, str(error)[:_TEXT] if _content else None)
            self.set({names.ERROR_TYPE: type(error).__qualname__})


class _Off:
    """The context manager of a span that is none."""

    _span = Span()

    def __enter__(self) -> Span:
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


_OFF = _Off()


def instrument(tracer_provider: Any = None, *, content: bool | None = None) -> None:
    """Trace from now on, in all threads.

    Args:
        tracer_provider: Of OpenTelemetry's SDK; None takes the one that was set globally.
        content: Whether spans hold the texts of queries, documents and answers. None takes it from the environment
            variable that the GenAI conventions name, ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``; at first
            they do not.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    global _tracer, _content
    try:
        from opentelemetry import trace
    except ImportError:
        raise MissingExtraError("tracing", package="opentelemetry-api", extra="otel") from None
    if content is None:
        content = os.environ.get(_CONTENT, "").strip().lower() in ("true", "1", "span_only", "span_and_event")
    _tracer, _content = trace.get_tracer("rag", tracer_provider=tracer_provider), content


def uninstrument() -> None:
    """Trace no more."""
    global _tracer, _content
    _tracer, _content = None, False


def is_on() -> bool:
    """Whether :func:`instrument` was called."""
    return _tracer is not None


def span(
    name: str, kind: Kind = "CHAIN", attributes: Mapping[str, Any] | None = None, *, server: bool = False
) -> AbstractContextManager[Span]:
    """A span around what is done inside; an error that leaves it is set on it.

    Args:
        name: Of the span.
        kind: What OpenInference calls it.
        attributes: What is known when it begins.
        server: Whether it answers a request from outside.
    """
    if _tracer is None:
        return _OFF
    return _opened(name, {names.KIND: kind, **(attributes or {})}, server=server)


@contextmanager
def _opened(name: str, attributes: Mapping[str, Any], *, server: bool = False, links: Any = None) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    known = {key: value for key, value in attributes.items() if value is not None}
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=known, links=links, record_exception=False, set_status_on_exception=False
    ) as inner:
        opened = Span(inner)
        try:
            yield opened
        except Exception as error:
            opened.failed(error)
            raise


def current() -> Any:
    """The context that spans are opened in, to be handed to another thread; None where tracing is off."""
    if _tracer is None:
        return None
    from opentelemetry import context

    return context.get_current()


def under(context: Any) -> AbstractContextManager[None]:
    """Open spans below what was :func:`current` elsewhere, or below what the headers of a request name.

    Args:
        context: What :func:`current` gave, or a mapping of headers (``traceparent``); None for nothing.
    """
    if _tracer is None or context is None:
        return nullcontext()
    return _attached(context)


@contextmanager
def _attached(given: Any) -> Iterator[None]:
    from opentelemetry import context, propagate

    inner = given if isinstance(given, context.Context) else propagate.extract(given)
    token = context.attach(inner)
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def joined(contexts: Sequence[Any]) -> Iterator[None]:
    """Open spans below those of several requests that are answered together: below a span of their own, which is below
    the first request's and linked to the others'; below the request's where there is but one.

    Args:
        contexts: What was :func:`current` where each request came in.
    """
    known = [context for context in contexts if context is not None]
    if _tracer is None or not known:
        yield
        return
    from opentelemetry import trace

    with under(known[0]):
        if len(known) == 1:
            yield
            return
        links = [trace.Link(trace.get_current_span(context).get_span_context()) for context in known[1:]]
        with _opened("batch", {names.KIND: "CHAIN", names.N_QUERIES: len(contexts)}, links=links):
            yield


def _shown(result: Any) -> dict[str, Any]:
    """A result as attributes: the conventions' JSON, and OpenInference's flat list."""
    hits = list(result)[:_SHOWN]
    shown: dict[str, Any] = {
        names.QUERY_TEXT: result.query.text,
        names.INPUT: result.query.text,
        names.DOCUMENTS: json.dumps([{"id": hit.document.id, "score": hit.score} for hit in hits]),
    }
    for number, hit in enumerate(hits):
        prefix = f"retrieval.documents.{number}.document"
        shown |= {f"{prefix}.id": hit.document.id, f"{prefix}.score": hit.score, f"{prefix}.content": hit.passage}
    return shown
