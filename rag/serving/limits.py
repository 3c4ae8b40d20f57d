"""Bounds on requests of clients."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rag.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on requests; what is beyond is refused with a problem that names the bound.

    Args:
        max_batch: Queries that go through the pipeline together, at most. The default of 16 is where a small encoder on
            a CPU costs least for each query.
        window: Seconds that a batch which is not full waits for more queries. Under load the queries that wait fill
            batches by themselves, so the default is 0.
        max_waiting: Queries that wait at most; more are answered 429.
        max_updates_waiting: Updates that wait at most; more are answered 429.
        max_answers: Answers that language models write at once, at most; as many more wait.
        max_body: Longest body in bytes of a request that puts documents.
        max_question: Longest body of any other request. It is read while all others wait.
        max_query: Longest query or conversation in characters.
        max_queries: Queries in one request, at most.
        max_top_k: Largest ``top_k``; also what a request without one gets at most.
        max_filter: Longest filter, as JSON, in characters.
        max_documents: Documents, or ids to delete, in one request, at most.
        timeout: Time in seconds after which a search is stopped.
        update_timeout: Seconds after which an update that has not begun is stopped.
        answer_timeout: Seconds after which an answer is stopped.
        body_timeout: Seconds for a client to send a body.
        header_timeout: Seconds for a client to send the head of a request.
        max_connections: Connections at once; more wait for the system to hand them over.

    Raises:
        ConfigError: A bound is not above 0 (``window``: is below 0).
    """

    max_batch: int = 16
    window: float = 0.0
    max_waiting: int = 256
    max_updates_waiting: int = 64
    max_answers: int = 8
    max_body: int = 10 << 20
    max_question: int = 1 << 20
    max_query: int = 10_000
    max_queries: int = 64
    max_top_k: int = 1_000
    max_filter: int = 16_384
    max_documents: int = 1_000
    timeout: float = 30.0
    update_timeout: float = 300.0
    answer_timeout: float = 120.0
    body_timeout: float = 30.0
    header_timeout: float = 10.0
    max_connections: int = 4_096

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 if field.name == "window" else value > 0):
                raise ConfigError(f"must be above 0, got {value!r}", parameter=field.name)
