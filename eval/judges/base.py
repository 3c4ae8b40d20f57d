"""The contract of judges of answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rag.calls import Calls
from rag.component import Component
from rag.config import dump, load_component
from rag.progress import Progress, no_progress
from rag.store.store import Store

__all__ = ["UNREADABLE", "Case", "Claim", "Judge", "Judgment", "Judgments", "Spent", "check_judge"]

Verdict = Literal["supported", "contradicted", "not there", "unreadable"]
UNREADABLE: Verdict = "unreadable"
"""Reply of a judge that is none of the verdicts: counted, never guessed."""


@dataclass(frozen=True, slots=True)
class Case:
    """An answer to be judged.

    Args:
        question: The question.
        answer: The answer, without citations.
        passages: The passages it was written from.
        references: Acceptable answers; empty when unknown.
    """

    question: str
    answer: str
    passages: Sequence[str]
    references: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a text.

    Args:
        text: The statement as a sentence.
        verdict: The passages' verdict on it; for a statement of a reference, the answer's.
        of_reference: Whether it is a statement of the reference.
    """

    text: str
    verdict: Verdict
    of_reference: bool = False


@dataclass(frozen=True, slots=True)
class Judgment:
    """The judgment of one answer.

    Args:
        faithfulness: Share of the answer's claims that the passages support, in [0, 1]; None without a readable one.
        correctness: Share of the reference's claims that the answer covers, for the best reference; None without any.
        claims: Claims of the answer, then of that reference.
        problem: The reason why something is missing.
    """

    faithfulness: float | None = None
    correctness: float | None = None
    claims: tuple[Claim, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """Costs of judging; cached replies count with their original cost.

    Args:
        llm_calls: Number of requests.
        llm_tokens: Number of tokens read and written.
        money: Price in the currency of the price list; None where prices or tokens are unknown.
    """

    llm_calls: int = 0
    llm_tokens: int = 0
    money: float | None = None


@dataclass(frozen=True, slots=True)
class Judgments:
    """The judgments of all cases.

    Args:
        judged: Judgments in the order of the cases.
        costs: Costs of all cases.
        calls: Calls of the model, and the failed ones.
    """

    judged: Sequence[Judgment]
    costs: Spent
    calls: Sequence[Calls] = ()


class Judge(Component):
    """Judges how faithful answers are to their passages, and how correct."""

    kind: ClassVar[str] = "judge"

    passing: float = 1.0
    """Faithfulness from which an answer counts as faithful when labelers are compared."""

    @abstractmethod
    def judge(
        self,
        cases: Sequence[Case],
        *,
        store: Store | None = None,
        progress: Progress = no_progress,
        repetition: int = 0,
    ) -> Judgments:
        """Judge answers.

        Args:
            cases: The nonempty answers.
            store: Cache of calls, by exact prompt and model.
            progress: Callback that shows progress.
            repetition: Number of the repetition; a new one judges again instead of reading the cache.

        Raises:
            ModelError: The model cannot be called at all.
        """


def check_judge(path: Path, *, overrides: Sequence[str] = (), resolved: bool = False) -> str:
    """Check a judge's file for ``rag check`` and return the message to print."""
    judge = load_component(path, Judge, overrides=overrides)  # type: ignore[type-abstract]
    if resolved:
        return dump(judge.spec.to_config())
    return f"{path}: ok (a judge, fingerprint {judge.fingerprint})\n"
