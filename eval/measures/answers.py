"""Measures of answers: against references, against their passages, against judgments.

References are in a query's metadata: ``answers``, a list of acceptable answers, or ``answer``. An empty list says that
there is no answer; then abstaining is correct, as it is where nothing is judged relevant.
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
from rag.eval.measures.auroc import auroc
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
    "token_recall": "share of the words of a reference that occur in the answer, for the best reference",
    "token_f1": "harmonic mean of token recall and the share of the answer's words that occur in the reference",
    "exact_match": "share of answers equal to a reference but for case, punctuation and articles",
    "lexical_faithfulness": "share of an answer's words that occur in the passages it was written from",
    "citation_precision": "share of an answer's citations that point to relevant documents",
    "abstained": "share of queries for which it says that the passages do not contain the answer",
    "abstained_rightly": "the same share among queries judged to have nothing relevant",
    "entropy": "semantic entropy of the answers in nats, where the pipeline measures it: 0 for sure",
}
_RIGHT = 0.5
"""Token recall from which an answer counts as right, for the AUROC of its entropy."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

Values = Mapping[str, Mapping[str, float | None]]
"""Value by query id by measure; None where undefined, such as token recall without references."""


def normalized(text: str) -> str:
    """Normalize a text as SQuAD does (Rajpurkar et al. 2016): lower case, without punctuation, articles and extra white
    space; beyond English in Unicode normal form, with each letter of scripts without spaces as a word, as in MLQA
    (Lewis et al. 2020).
    """
    text = normal_form(text).translate(_NO_PUNCTUATION)
    if not text.isascii():
        text = split_spaceless("".join(letter for letter in text if not unicodedata.category(letter).startswith("P")))
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the answer equals one of the references after :func:`normalized`, else 0."""
    return float(any(normalized(answer) == normalized(reference) for reference in references))


def token_f1(answer: str, references: Sequence[str]) -> float:
    """F1 of the words common to answer and reference, counted as in SQuAD 2.0, for the best reference."""
    return max(_f1(normalized(answer).split(), normalized(reference).split()) for reference in references)


def token_recall(answer: str, references: Sequence[str]) -> float:
    """Share of a reference's words that occur in the answer (Adlakha et al. 2024), for the best reference. Suited to
    long answers: further content does not count against them.
    """
    words = Counter(normalized(answer).split())
    return max(_share(Counter(normalized(reference).split()), words) for reference in references)


def lexical_faithfulness(answer: str, passages: Sequence[str]) -> float | None:
    """Share of the answer's words that occur in the passages; None for an answer without words.

    K-precision (Adlakha et al. 2024), except that a word may occur more often than in the passages.
    """
    words = normalized(answer).split()
    passage_words = {word for passage in passages for word in normalized(passage).split()}
    return sum(word in passage_words for word in words) / len(words) if words else None


_AGAINST_REFERENCES = {"token_recall": token_recall, "token_f1": token_f1, "exact_match": exact_match}


def citation_precision(answer: Answer, grades: Mapping[str, int]) -> float | None:
    """Share of the cited passages whose document is judged relevant; None without citations."""
    if not answer.citations:
        return None
    return sum(grades.get(citation.document, 0) > 0 for citation in answer.citations) / len(answer.citations)


def references_of(query: Query, grades: Mapping[str, int] | None = None) -> list[str] | None:
    """The acceptable answers; an empty list when there is known to be none, None when unknown.

    Args:
        query: The query with its metadata.
        grades: Judgments of documents for the query. If none is relevant, no answer is acceptable.
    """
    references = query.metadata.get("answers")
    if references is None:
        references = query.metadata.get("answer")
    if isinstance(references, Mapping):  # SQuAD's own layout
        references = references.get("text")
    several = references if isinstance(references, (list, tuple)) else [references]
    texts = [text for reference in several if (text := _text(reference)).strip()]
    if several and not texts:
        return None
    return [] if grades is not None and not _relevant(grades) else texts


@dataclass(frozen=True)
class Answers:
    """Measures of a run's answers.

    Args:
        summary: The entry ``answers`` of ``metrics.json``.
        values: Values by query id by measure.
        notes: Remarks for the reader.
    """

    summary: dict[str, Any]
    values: Values
    notes: Sequence[str]


def measure_answers(
    stage: str, results: Sequence[SearchResult], qrels: Qrels, costs: Costs, *, seed: int = 0
) -> Answers:
    """Measure the answers of a pipeline.

    A failed or abstained answer contains none of a reference's words and has no faithfulness. Where there is known to
    be no answer, the measures against references are 1 for abstaining and 0 for anything else, as in SQuAD 2.0.

    Args:
        stage: Name of the stage that writes answers.
        results: Results of all queries.
        qrels: Judgments of the queries.
        costs: Costs of the stage.
        seed: Seed of the intervals.
    """
    values: dict[str, dict[str, float | None]] = {name: {} for name in MEASURES}
    for result in results:
        for name, value in _values(result, qrels.get(result.query.id, {})).items():
            values[name][result.query.id] = value
    answers = [result.answer for result in results if result.answer is not None]
    problems = Counter(answer.problem for answer in answers if answer.problem)
    n_references = sum(references_of(result.query) is not None for result in results)
    prices = [answer.money for answer in answers if answer.money is not None]
    seconds = [answer.seconds for answer in answers if answer.llm_calls]
    summary = {
        "stage": stage,
        "n_queries": len(results),
        "with_references": n_references,
        "measures": means_of(values, seed=seed),
        "citations": sum(len(answer.citations) for answer in answers),
        "dropped_citations": sum(answer.n_dropped for answer in answers),
        "failed": problems.total(),
        "problems": dict(problems.most_common(10)),
        "costs": {
            "llm_calls": costs.llm_calls,
            "llm_tokens": costs.llm_tokens,
            "money": sum(prices) if len(prices) == len(answers) and prices else None,
        },
        "seconds": {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))}
        if seconds
        else None,
        "uncertainty": _uncertainty(values, seed),
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


def _uncertainty(values: Values, seed: int) -> dict[str, Any] | None:
    """How well the entropy tells wrong answers from right ones; None where it was not measured, or nothing can tell."""
    recalls = values["token_recall"]
    pairs = [
        (entropy, recall < _RIGHT)
        for id, entropy in values["entropy"].items()
        if entropy is not None and (recall := recalls.get(id)) is not None
    ]
    area = auroc([entropy for entropy, _ in pairs], [wrong for _, wrong in pairs], seed=seed)
    return None if area is None else {"auroc": area, "right_from": _RIGHT}


def means_of(values: Values, *, seed: int = 0) -> dict[str, dict[str, Any] | None]:
    """Mean of each measure with its interval and the number of queries with a value; None without any value."""
    summary: dict[str, dict[str, Any] | None] = {}
    together: dict[tuple[str, ...], list[str]] = {}
    for name, of in values.items():
        summary[name] = None
        together.setdefault(tuple(id for id, value in of.items() if value is not None), []).append(name)
    for ids, names in together.items():
        if ids:  # measures of the same queries share samples drawn once
            table = np.array([[values[name][id] for name in names] for id in ids], dtype=np.float64)
            bounds = interval(table, seed=seed)
            for index, name in enumerate(names):
                summary[name] = {
                    "mean": float(table[:, index].mean()),
                    "ci95": list(bounds[index]) if bounds else None,
                    "n_queries": len(ids),
                }
    return summary


def against_references(answer: Answer, references: Sequence[str]) -> dict[str, float]:
    """Token recall, token F1 and exact match. Without references there is known to be no answer, and abstaining is
    correct.
    """
    said = _said(answer)
    if not references:
        return dict.fromkeys(_AGAINST_REFERENCES, float(answer.abstained))
    return {name: measure(said, references) if said else 0.0 for name, measure in _AGAINST_REFERENCES.items()}


def _text(reference: object) -> str:
    """A reference as text; empty if it is none. Tables with gaps store integers as floats, and NaN for empty cells."""
    if isinstance(reference, float) and reference.is_integer():
        return str(int(reference))
    if isinstance(reference, bool) or reference != reference or not isinstance(reference, (str, int, float)):
        return ""
    return str(reference)


def _said(answer: Answer) -> str:
    return "" if answer.abstained or answer.problem else answer.plain


def _values(result: SearchResult, grades: Mapping[str, int]) -> dict[str, float | None]:
    values: dict[str, float | None] = dict.fromkeys(MEASURES)
    answer, references = result.answer, references_of(result.query, grades)
    if answer is None:
        return values
    values["abstained"] = float(answer.abstained)
    values["entropy"] = answer.entropy
    if not _relevant(grades):
        values["abstained_rightly"] = float(answer.abstained)
    if references is not None:
        values |= against_references(answer, references)
    said = _said(answer)
    if said:
        values["lexical_faithfulness"] = lexical_faithfulness(said, answer.passages)
        values["citation_precision"] = citation_precision(answer, grades)
    return values


def _relevant(grades: Mapping[str, int]) -> bool:
    return any(grade > 0 for grade in grades.values())


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = (Counter(answer) & Counter(reference)).total()
    return 2 * common / (len(answer) + len(reference))


def _share(expected: Counter[str], there: Counter[str]) -> float:
    return (expected & there).total() / expected.total() if expected else float(not there)
