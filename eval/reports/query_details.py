"""What a report carries of every query, to be shown when it is opened: what each stage returned, and what was due."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rag.eval.diagnostics.attribution import NOT_IN_CORPUS
from rag.eval.diagnostics.failures import words
from rag.eval.reports.pages import clean, excerpt

__all__ = ["fault", "query_details", "with_metadata"]

_EXCERPT = 240
_ANSWER = 1200
_WHOLE = 1000
"""So many queries have their passages shown in full length; of more of them the excerpts are shorter, so that the file
stays below 6 MB."""


def query_details(
    rows: Sequence[Mapping[str, Any]], measures: Sequence[str], modes: Sequence[tuple[str, str | None]]
) -> dict[str, Any]:
    """For ``queries.js``, in the order of the rows. Texts stand there once and are named by their number.

    Args:
        rows: Of ``per_query.parquet``; those of older runs have no stages but what was returned.
        measures: Names of the measures.
        modes: (mode, stage) of the failure modes.
    """
    texts = _Texts(min(_EXCERPT, _EXCERPT * _WHOLE // max(len(rows), 1)))
    first = rows[0].get("stages") if rows else None
    names = [one["name"] for one in first] if first else ["returned"]
    return {
        "stages": [clean(name) for name in names],
        "measures": [clean(name) for name in measures],
        "modes": [clean(words(*mode)) for mode in modes],
        "queries": [_query(row, measures, modes, texts, first is not None) for row in rows],
        "texts": texts.all,
    }


def with_metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its metadata as texts by name."""
    metadata = json.loads(row["metadata"] or "{}")
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    return {**row, "metadata": texts}


def fault(document: Mapping[str, Any]) -> str:
    """What became of a relevant document that is not returned."""
    if document["rank"] is not None:
        return ""
    stage = document.get("lost_at")
    if stage is None or stage == NOT_IN_CORPUS:
        return stage or "not returned"
    return f"lost at {stage}"


class _Texts:
    """Titles with passages, each pair once."""

    def __init__(self, length: int) -> None:
        self.all: list[tuple[str, str]] = []
        self._length = length
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, title: str, passage: str = "") -> int:
        key = title, passage
        if key not in self._numbers:
            self._numbers[key] = len(self.all)
            self.all.append((excerpt(title, _EXCERPT), excerpt(passage, self._length)))
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
    about = [f"Query {excerpt(row['query_id'])}", *(f"{excerpt(name)}: {excerpt(value)}" for name, value in metadata)]
    return {
        "text": excerpt(row["query"], 600) or f"(query {excerpt(row['query_id'])} has no text)",
        "about": " · ".join(about),
        "values": [_number(row[name]) for name in measures],
        "failures": [
            (modes.index((one["mode"], one["stage"])), _number(one["loss"]))
            for one in sorted(row.get("failures") or (), key=lambda one: -one["loss"])
        ],
        "answer": _answer(row.get("answer")),
        "expected": [
            (
                texts.number(one["title"] or one["id"]),
                one["grade"],
                one.get("ranks") or ([None] * len(stages) if staged else [one["rank"]]),
                clean(fault(one)),
            )
            for one in row["expected"]
        ],
        "stages": [
            (
                one["candidates"],
                [texts.number(hit["title"] or hit["id"], hit["passage"]) for hit in one["best"]],
                [_number(hit["score"]) for hit in one["best"]],
                [hit["grade"] for hit in one["best"]],
            )
            for one in stages
        ],
    }


def _answer(answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What was written, its references, and claims with whether they are supported; None where nobody wrote."""
    if answer is None:
        return None
    facts = ["Abstained."] if answer["abstained"] else []
    if answer["citations"]:
        cited = (f"[{one['rank']}] {excerpt(one['id'], 60)}" for one in answer["citations"])
        facts.append(f"Cites {', '.join(cited)}.")
    return {
        "text": excerpt(answer["text"], _ANSWER) or f"None: {excerpt(answer['problem'] or 'nobody knows why')}",
        "facts": " ".join(facts),
        "references": [excerpt(one) for one in answer["references"] or ()],
        "claims": [(excerpt(one["claim"]), *_verdict(one)) for one in answer["claims"] or ()],
    }


def _verdict(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a judge says of a claim, whether that is good, bad or neither, and who says it."""
    judge = clean(claim["judge"]) + (", of the reference" if claim["of_reference"] else "")
    if claim["verdict"] == "supported":
        return "covered" if claim["of_reference"] else "supported", "good", judge
    return ("no verdict", "", judge) if claim["verdict"] == "unreadable" else (clean(claim["verdict"]), "bad", judge)


def _number(value: float | None) -> float | None:
    """To four digits that count, which is more than is shown."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
