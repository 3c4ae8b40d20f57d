"""Details of every query, shown on demand in the report: results of each stage, and expected documents."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rag.eval.diagnostics.attribution import NOT_IN_CORPUS
from rag.eval.diagnostics.failures import words
from rag.eval.reports.pages import address, clean, excerpt

__all__ = ["fault", "query_details", "with_metadata"]

_EXCERPT = 240
_ANSWER = 1200
_WHOLE = 1000
"""Number of queries up to which passages are stored in full length; with more queries excerpts get shorter, so that
the file stays below 6 MB."""


def query_details(
    rows: Sequence[Mapping[str, Any]], measures: Sequence[str], modes: Sequence[tuple[str, str | None]]
) -> dict[str, Any]:
    """Data for ``queries.js``, in the order of the rows. Each text is stored once and referred to by number.

    Args:
        rows: Rows of ``per_query.parquet``; those of older runs have no stages but the final results.
        measures: Names of the measures.
        modes: (mode, stage) of the failure modes.
    """
    texts = _Texts(min(_EXCERPT, _EXCERPT * _WHOLE // max(len(rows), 1)))
    first = rows[0].get("stages") if rows else None
    names = [stage["name"] for stage in first] if first else ["returned"]
    return {
        "stages": [clean(name) for name in names],
        "measures": [clean(name) for name in measures],
        "modes": [clean(words(*mode)) for mode in modes],
        "queries": [_query(row, measures, modes, texts, first is not None) for row in rows],
        "texts": texts.all,
    }


def with_metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its metadata converted to texts by name."""
    metadata = json.loads(row["metadata"] or "{}")
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    return {**row, "metadata": texts}


def fault(document: Mapping[str, Any]) -> str:
    """The fate of a relevant document that was not returned."""
    if document["rank"] is not None:
        return ""
    stage = document.get("lost_at")
    if stage is None or stage == NOT_IN_CORPUS:
        return stage or "not returned"
    return f"lost at {stage}"


class _Texts:
    """Titles with passages and addresses, each stored once."""

    def __init__(self, length: int) -> None:
        self.all: list[tuple[str, ...]] = []
        self._length = length
        self._numbers: dict[tuple[str, str, str], int] = {}

    def number(self, document: Mapping[str, Any]) -> int:
        key = document["title"] or document["id"], document.get("passage", ""), document.get("link") or ""
        if key not in self._numbers:
            self._numbers[key] = len(self.all)
            title, passage, link = key
            shown = excerpt(title, _EXCERPT), excerpt(passage, self._length)
            self.all.append((*shown, link) if (link := address(link)) else shown)
        return self._numbers[key]


def _query(
    row: Mapping[str, Any],
    measures: Sequence[str],
    modes: Sequence[tuple[str, str | None]],
    texts: _Texts,
    staged: bool,
) -> dict[str, Any]:
    stages = row["stages"] if staged else [{"candidates": row["n_returned"], "best": row["returned"]}]
    metadata = with_metadata(row)["metadata"].items()
    header = [f"Query {excerpt(row['query_id'])}", *(f"{excerpt(name)}: {excerpt(value)}" for name, value in metadata)]
    return {
        "text": excerpt(row["query"], 600) or f"(query {excerpt(row['query_id'])} has no text)",
        "about": " · ".join(header),
        "values": [_number(row[name]) for name in measures],
        "failures": [
            (modes.index((failure["mode"], failure["stage"])), _number(failure["loss"]))
            for failure in sorted(row.get("failures") or (), key=lambda failure: -failure["loss"])
        ],
        "answer": _answer(row.get("answer")),
        "expected": [
            (
                texts.number(document),
                document["grade"],
                document.get("ranks") or ([None] * len(stages) if staged else [document["rank"]]),
                clean(fault(document)),
            )
            for document in row["expected"]
        ],
        "stages": [
            (
                stage["candidates"],
                [texts.number(hit) for hit in stage["best"]],
                [_number(hit["score"]) for hit in stage["best"]],
                [hit["grade"] for hit in stage["best"]],
            )
            for stage in stages
        ],
    }


def _answer(answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The answer with its references and verified claims; None without an answer."""
    if answer is None:
        return None
    facts = ["Abstained."] if answer["abstained"] else []
    if answer["citations"]:
        cited = (f"[{citation['rank']}] {excerpt(citation['id'], 60)}" for citation in answer["citations"])
        facts.append(f"Cites {', '.join(cited)}.")
    return {
        "text": excerpt(answer["text"], _ANSWER) or f"None: {excerpt(answer['problem'] or 'unknown reason')}",
        "facts": " ".join(facts),
        "references": [excerpt(reference) for reference in answer["references"] or ()],
        "claims": [(excerpt(claim["claim"]), *_verdict(claim)) for claim in answer["claims"] or ()],
    }


def _verdict(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    """A verdict on a claim, its class (good, bad or neutral), and the judge."""
    judge = clean(claim["judge"]) + (", of the reference" if claim["of_reference"] else "")
    if claim["verdict"] == "supported":
        return "covered" if claim["of_reference"] else "supported", "good", judge
    return ("no verdict", "", judge) if claim["verdict"] == "unreadable" else (clean(claim["verdict"]), "bad", judge)


def _number(value: float | None) -> float | None:
    """Round to four significant digits, more than is shown."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
