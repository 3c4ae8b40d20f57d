"""Counters and timers of a server, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable

from rag.batch import QueryBatch
from rag.errors import MissingExtraError
from rag.pipeline import Following, Snapshot

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server, in a registry of their own.

    Args:
        waiting: Gives how many queries wait.
        source: The served source.
    """

    def __init__(self, waiting: Callable[[], int], source: Following | Snapshot) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            raise MissingExtraError("serving", package="prometheus-client", extra="serve") from None
        self.registry = registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("rag_requests", "Requests answered.", labels, registry=registry)
        self.seconds = Histogram(
            "rag_request_seconds", "From a request to its answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.stages = Histogram(
            "rag_stage_seconds", "Wall time of a stage, a batch.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.batches = Histogram("rag_batch_queries", "Queries answered together.", buckets=_SIZES, registry=registry)
        self.costs = {
            name: Counter(f"rag_{name}", help, registry=registry)
            for name, help in (
                ("texts_embedded", "Queries that went through an embedder."),
                ("scorer_calls", "Pairs that a scorer has scored."),
                ("llm_calls", "Requests to a language model."),
                ("llm_tokens", "Tokens read and written by language models."),
            )
        }
        self.updates = Counter("rag_updates", "Updates carried out.", ["verb"], registry=registry)
        Gauge("rag_queue_queries", "Queries that wait.", registry=registry).set_function(waiting)
        documents = Gauge("rag_documents", "Documents in the generation in use.", registry=registry)
        documents.set_function(lambda: current(source).pipeline.corpus.n_alive)
        if isinstance(source, Following):
            refused = Gauge("rag_generations_refused", "Generations that were refused.", registry=registry)
            refused.set_function(lambda: source.refused)
            source.on_change(self._changed)
        self._generation = Gauge(
            "rag_generation_info", "The generation in use.", ["generation", "fingerprint"], registry=registry
        )
        self._changed(current(source))

    def batch(self, batch: QueryBatch, seconds: float) -> None:
        """Count a batch of queries that was answered."""
        self.batches.observe(len(batch))
        for name, costs in batch.ledger.stages.items():
            self.stages.labels(name).observe(costs.seconds)
        self.spent(batch.ledger.total.as_dict())

    def spent(self, costs: dict[str, float]) -> None:
        """Count the costs of a search."""
        for name, counter in self.costs.items():
            counter.inc(costs[name])

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All figures, as ``GET /metrics`` gives them."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def _changed(self, snapshot: Snapshot) -> None:
        self._generation.clear()
        self._generation.labels(snapshot.generation, snapshot.pipeline.fingerprint).set(1)


def current(source: Following | Snapshot) -> Snapshot:
    """The generation in use."""
    return source.current if isinstance(source, Following) else source
