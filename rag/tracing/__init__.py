"""Tracing by OpenTelemetry: a span for every request, step and call of a model.

Off until :func:`instrument` is called; then :func:`span` opens spans of the tracer provider that was given. Off, it
returns one object that does nothing, and OpenTelemetry is not imported.
"""

from rag.tracing import names
from rag.tracing.names import Kind
from rag.tracing.spans import Span, current, instrument, is_on, joined, span, under, uninstrument

__all__ = ["Kind", "Span", "current", "instrument", "is_on", "joined", "names", "span", "under", "uninstrument"]
