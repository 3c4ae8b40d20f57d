"""Measures of answers: against references, against what they were written from, against judgments.

References are in the metadata of a query: ``answers``, a list of texts any of which is right, or ``answer``. An empty
list says that there is no answer; then abstaining is right. So it is where nothing is judged to be relevant.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.answer import Answer
from rag.costs import Costs
from rag.eval.datasets.base import Qrels
from rag.eval.measures.interval import interval
from rag.text.normal import normalized as normal_form
from rag.text.words import split_spaceless
from rag.types import Query, SearchResult

__all__ = [
    "MEASURES",
    "Answers",
    "against_references",
    "citation_precision",
    "exact_match",
    "lexical_faithfulness",
    "means_of",
    "measure_answers",
    "normalized",
    "references_of",
    "token_f1",
    "token_recall",
]

MEASURES = {
    "token_recall": "share of the words of a reference that the answer has; of the best reference",
    "token_f1": "harmonic mean of that and of the share of the answer's words that the reference has",
    "exact_match": "share of answers that are a reference, but for case, punctuation and articles",
    "lexical_faithfulness": "share of an answer's words that occur in the passages it was written from",
    "citation_precision": "share of an answer's citations that point to relevant documents",
    "abstained": "share of queries to which it says that the passages do not hold the answer",
    "abstained_rightly": "the same, of queries that are judged to have nothing relevant",
}
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

Values = Mapping[str, Mapping[str, float | None]]
"""Value by query id by measure; None where it has none, such as token recall without references."""


def normalized(text: str) -> str:
    """A text as SQuAD compares it (Rajpurkar et al. 2016): small letters, without punctuation, articles and extra white
    space; beyond English in its normal form, and letters of scripts without spaces as words, as MLQA has them (Lewis et
    al. 2020).
    """
    text = normal_form(text).translate(_NO_PUNCTUATION)
    if not text.isascii():
        text = split_spaceless("".join(letter for letter in text if not unicodedata.category(letter).startswith("P")))
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 when the answer is one of the references once both are :func:`normalized`, else 0."""
    return float(any(normalized(answer) == normalized(one) for one in references))


def token_f1(answer: str, references: Sequence[str]) -> float:
    """F1 of the words that answer and reference share, as SQuAD 2.0 counts it; of the best reference."""
    return max(_f1(normalized(answer).split(), normalized(one).split()) for one in references)


def token_recall(answer: str, references: Sequence[str]) -> float:
    """Share of a reference's words that the answer has (Adlakha et al. 2024), of the best reference. For long answers:
    what else they say does not count against them.
    """
    words = Counter(normalized(answer).split())
    return max(_share(Counter(normalized(one).split()), words) for one in references)


def lexical_faithfulness(answer: str, passages: Sequence[str]) -> float | None:
    """Share of the answer's words that occur in the passages; None for an answer without words.

    K-precision (Adlakha et al. 2024), except that a word may be used more often than the passages have it.
    """
    words = normalized(answer).split()
    known = {word for passage in passages for word in normalized(passage).split()}
    return sum(word in known for word in words) / len(words) if words else None


_AGAINST_REFERENCES = {"token_recall": token_recall, "token_f1": token_f1, "exact_match": exact_match}


def citation_precision(answer: Answer, grades: Mapping[str, int]) -> float | None:
    """Share of the passages it cites whose document is judged relevant; None when it cites none."""
    if not answer.citations:
        return None
    return sum(grades.get(one.document, 0) > 0 for one in answer.citations) / len(answer.citations)


def references_of(query: Query, grades: Mapping[str, int] | None = None) -> list[str] | None:
    """The right answers; an empty list when there is known to be none, None when nobody says.

    Args:
        query: With its metadata.
        grades: Judgments of documents for it. Where none is relevant, no answer can be right.
    """
    given = query.metadata.get("answers")
    if given is None:
        given = query.metadata.get("answer")
    if isinstance(given, Mapping):  # SQuAD's own layout
        given = given.get("text")
    several = given if isinstance(given, (list, tuple)) else [given]
    texts = [text for one in several if (text := _text(one)).strip()]
    if several and not texts:
        return None
    return [] if grades is not None and not _relevant(grades) else texts


@dataclass(frozen=True)
class Answers:
    """Measures of the answers of a run.

    Args:
        summary: The entry ``answers`` of ``metrics.json``.
        values: By query.
        notes: What a reader should know.
    """

    summary: dict[str, Any]
    values: Values
    notes: Sequence[str]


def measure_answers(
    stage: str, results: Sequence[SearchResult], qrels: Qrels, costs: Costs, *, seed: int = 0
) -> Answers:
    """Measure the answers of a pipeline.

    An answer that failed or abstained has none of a reference's words, and no faithfulness. Where there is known to be
    no answer, the measures against references are 1 for abstaining and 0 for anything else, as in SQuAD 2.0.

    Args:
        stage: What wrote them.
        results: Of all queries.
        qrels: Judgments.
        costs: What the stage has spent.
        seed: Of the intervals.
    """
    values: dict[str, dict[str, float | None]] = {name: {} for name in MEASURES}
    for result in results:
        for name, value in _values(result, qrels.get(result.query.id, {})).items():
            values[name][result.query.id] = value
    answers = [result.answer for result in results if result.answer is not None]
    problems = Counter(one.problem for one in answers if one.problem)
    n_references = sum(references_of(result.query) is not None for result in results)
    known = [one.money for one in answers if one.money is not None]
    seconds = [one.seconds for one in answers if one.llm_calls]
    summary = {
        "stage": stage,
        "n_queries": len(results),
        "with_references": n_references,
        "measures": means_of(values, seed=seed),
        "citations": sum(len(one.citations) for one in answers),
        "dropped_citations": sum(one.n_dropped for one in answers),
        "failed": problems.total(),
        "problems": dict(problems.most_common(10)),
        "costs": {
            "llm_calls": costs.llm_calls,
            "llm_tokens": costs.llm_tokens,
            "money": sum(known) if len(known) == len(answers) and known else None,
        },
        "seconds": {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))}
        if seconds
        else None,
        "judges": [],
        "agreement": [],
    }
    notes = []
    if not n_references:
        notes.append(
            "no query has a reference ('answers' or 'answer' in its metadata): token recall, token F1 and exact match "
            "are left out"
        )
    elif n_references < len(results):
        notes.append(f"{n_references} of {len(results)} queries have a reference to compare answers with")
    if problems:
        notes.append(f"{problems.total()} of {len(results)} queries have no answer, because of a problem")
    return Answers(summary, values, notes)


def means_of(values: Values, *, seed: int = 0) -> dict[str, dict[str, Any] | None]:
    """Mean of each measure with its interval and the number of queries that have a value; None when none has."""
    found: dict[str, dict[str, Any] | None] = {}
    together: dict[tuple[str, ...], list[str]] = {}
    for name, of in values.items():
        found[name] = None
        together.setdefault(tuple(id for id, value in of.items() if value is not None), []).append(name)
    for ids, names in together.items():
        if ids:  # measures of the same queries see the same samples, drawn once
            table = np.array([[values[name][id] for name in names] for id in ids], dtype=np.float64)
            bounds = interval(table, seed=seed)
            for number, name in enumerate(names):
                found[name] = {
                    "mean": float(table[:, number].mean()),
                    "ci95": list(bounds[number]) if bounds else None,
                    "n_queries": len(ids),
                }
    return found


def against_references(answer: Answer, references: Sequence[str]) -> dict[str, float]:
    """Token recall, token F1 and exact match. Without a reference there is known to be no answer: then abstaining is
    right.
    """
    said = _said(answer)
    if not references:
        return dict.fromkeys(_AGAINST_REFERENCES, float(answer.abstained))
    return {name: measure(said, references) if said else 0.0 for name, measure in _AGAINST_REFERENCES.items()}


def _text(reference: object) -> str:
    """Empty for what is none. Tables with gaps hold whole numbers as floats, and NaN for nothing."""
    if isinstance(reference, float) and reference.is_integer():
        return str(int(reference))
    if isinstance(reference, bool) or reference != reference or not isinstance(reference, (str, int, float)):
        return ""
    return str(reference)


def _said(answer: Answer) -> str:
    return "" if answer.abstained or answer.problem else answer.plain


def _values(result: SearchResult, grades: Mapping[str, int]) -> dict[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    answer, references = result.answer, references_of(result.query, grades)
    if answer is None:
        return found
    found["abstained"] = float(answer.abstained)
    if not _relevant(grades):
        found["abstained_rightly"] = float(answer.abstained)
    if references is not None:
        found |= against_references(answer, references)
    said = _said(answer)
    if said:
        found["lexical_faithfulness"] = lexical_faithfulness(said, answer.passages)
        found["citation_precision"] = citation_precision(answer, grades)
    return found


def _relevant(grades: Mapping[str, int]) -> bool:
    return any(grade > 0 for grade in grades.values())


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = (Counter(answer) & Counter(reference)).total()
    return 2 * common / (len(answer) + len(reference))


def _share(wanted: Counter[str], there: Counter[str]) -> float:
    return (wanted & there).total() / wanted.total() if wanted else float(not there)
