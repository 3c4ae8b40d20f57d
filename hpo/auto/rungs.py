"""The ladder of ``rag recommend``: pipelines from plain words to everything learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag.hpo.auto.data import MIN_LEARNED

__all__ = ["Rung", "rungs"]


@dataclass(frozen=True)
class Rung:
    """A pipeline of the ladder.

    Args:
        name: Name in the table.
        config: The pipeline; None where it makes no sense on these data.
        reason: Why, then.
        embeds: Whether it embeds the corpus.
    """

    name: str
    config: dict[str, Any] | None
    reason: str = ""
    embeds: bool = True


def rungs(
    encoder: Mapping[str, Any], scorer: Mapping[str, Any] | None, n_learned: int, *, shared: bool = True
) -> list[Rung]:
    """The ladder, cheap rungs first.

    Args:
        encoder: Configuration of the embedder.
        scorer: Of the scorer, if there is one.
        n_learned: Questions to learn from.
        shared: Whether documents are relevant for several of them, so that a memory has something to say.
    """
    words = {"type": "bm25"}
    vectors = {"type": "dense", "embedder": dict(encoder), "index": {"type": "flat"}}
    hybrid = {"type": "hybrid", "fusion": {"type": "min_max"}, "retrievers": [words, vectors]}
    feedback = {"type": "feedback", "target": hybrid}
    cover = {"type": "query_memory", "score": "cover", "retriever": hybrid}
    memory = {
        "type": "hybrid",
        "fusion": {"type": "min_max"},
        "weights": [1.0, 0.5],
        "retrievers": [feedback, cover],
    }
    moved = vectors | {"embedder": {"type": "adapted", "embedder": dict(encoder)}}
    adapted = hybrid | {"retrievers": [words, moved]}
    sources: list[dict[str, Any]] = [{"type": "feedback"}, moved]
    sources += [{"type": "query_memory"}, {"type": "query_memory", "score": "cover"}] if shared else []
    learned = {"type": "learned_rank", "sources": sources}
    few = f"{n_learned} training questions, and {MIN_LEARNED} are needed" if n_learned < MIN_LEARNED else ""
    unshared = few or ("" if shared else "no document is relevant for two training questions")

    def pipeline(retriever: dict[str, Any], *stages: dict[str, Any]) -> dict[str, Any]:
        return {"type": "pipeline", "retriever": retriever, "stages": list(stages)}

    reranked = None if scorer is None else pipeline(hybrid, {"type": "rerank", "budget": 50, "scorer": dict(scorer)})
    return [
        Rung("BM25", pipeline(words), embeds=False),
        Rung("dense", pipeline(vectors)),
        Rung("hybrid", pipeline(hybrid)),
        Rung("+ feedback", pipeline(feedback)),
        Rung("+ memory", None if unshared else pipeline(memory), unshared),
        Rung("+ adapted queries", None if few else pipeline(adapted), few),
        Rung("+ learned rank", None if few else pipeline(hybrid, learned), few),
        Rung("hybrid + reranker", reranked, "" if scorer is not None else "no cross-encoder named (--scorer)"),
    ]
