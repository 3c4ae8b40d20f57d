"""An answer as a value of the column ``answer`` in ``per_query.parquet``."""

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
    """Of the column."""
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
        ]
    )


def answer_row(result: SearchResult, judged: Mapping[str, Mapping[str, Judgment]]) -> dict[str, Any] | None:
    """The answer to a query with what judges made of it; None when nobody answered."""
    answer = result.answer
    if answer is None:
        return None
    judgments = {name: of[result.query.id] for name, of in judged.items() if result.query.id in of}
    return {
        "text": answer.text,
        "abstained": answer.abstained,
        "problem": answer.problem or None,
        "citations": [{"rank": one.rank, "id": one.document} for one in answer.citations],
        "dropped_citations": answer.n_dropped,
        "given": list(answer.documents),
        "references": references_of(result.query),
        "claims": [
            {"judge": name, "claim": one.text, "verdict": one.verdict, "of_reference": one.of_reference}
            for name, judgment in judgments.items()
            for one in judgment.claims
        ],
        "judge_problems": [{"judge": name, "problem": one.problem} for name, one in judgments.items() if one.problem],
        "llm_calls": answer.llm_calls,
        "llm_tokens": answer.llm_tokens,
        "money": answer.money,
        "seconds": answer.seconds,
    }
