"""Answers as values of the column ``answer`` in ``per_query.parquet``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rag.eval.judges.base import Judgment
from rag.eval.measures.answers import references_of
from rag.types import SearchResult

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["answer_row", "answer_type"]


def answer_type() -> pa.DataType:
    """The Arrow type of the column."""
    import pyarrow as pa

    citation = pa.struct([("rank", pa.int64()), ("id", pa.string())])
    claim = pa.struct(
        [("judge", pa.string()), ("claim", pa.string()), ("verdict", pa.string()), ("of_reference", pa.bool_())]
    )
    problem = pa.struct([("judge", pa.string()), ("problem", pa.string())])
    return pa.struct(
        [
            ("text", pa.string()),
            ("abstained", pa.bool_()),
            ("problem", pa.string()),
            ("citations", pa.list_(citation)),
            ("dropped_citations", pa.int64()),
            ("given", pa.list_(pa.string())),
            ("references", pa.list_(pa.string())),
            ("claims", pa.list_(claim)),
            ("judge_problems", pa.list_(problem)),
            ("llm_calls", pa.int64()),
            ("llm_tokens", pa.int64()),
            ("money", pa.float64()),
            ("seconds", pa.float64()),
            ("entropy", pa.float64()),
        ]
    )


def answer_row(result: SearchResult, judged: Mapping[str, Mapping[str, Judgment]]) -> dict[str, Any] | None:
    """The answer to a query with its judgments; None without an answer."""
    answer = result.answer
    if answer is None:
        return None
    judgments = {name: of[result.query.id] for name, of in judged.items() if result.query.id in of}
    return {
        "text": answer.text,
        "abstained": answer.abstained,
        "problem": answer.problem or None,
        "citations": [{"rank": citation.rank, "id": citation.document} for citation in answer.citations],
        "dropped_citations": answer.n_dropped,
        "given": list(answer.documents),
        "references": references_of(result.query),
        "claims": [
            {"judge": name, "claim": claim.text, "verdict": claim.verdict, "of_reference": claim.of_reference}
            for name, judgment in judgments.items()
            for claim in judgment.claims
        ],
        "judge_problems": [
            {"judge": name, "problem": judgment.problem} for name, judgment in judgments.items() if judgment.problem
        ],
        "llm_calls": answer.llm_calls,
        "llm_tokens": answer.llm_tokens,
        "money": answer.money,
        "seconds": answer.seconds,
        "entropy": answer.entropy,
    }
