"""Sending spans to a collector, for programs that have set up no tracer provider of their own."""

from __future__ import annotations

from rag.errors import MissingExtraError
from rag.tracing.spans import instrument

__all__ = ["export"]


def export() -> None:
    """Trace, and send spans by OTLP over HTTP, as the environment variables of OpenTelemetry say:
    ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``.

    Raises:
        MissingExtraError: The extra ``otel`` is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        package = (error.name or "opentelemetry-sdk").replace(".", "-")
        raise MissingExtraError("exporting spans", package=package, extra="otel") from None
    provider = TracerProvider(resource=Resource.create({"service.name": "rag"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    instrument(provider)
