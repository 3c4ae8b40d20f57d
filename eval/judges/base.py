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
"""What a judge has said that is none of the verdicts: counted, never guessed."""


@dataclass(frozen=True, slots=True)
class Case:
    """An answer to be judged.

    Args:
        question: What was asked.
        answer: What was answered, without citations.
        passages: What it was written from.
        references: Right answers, any of them; none when nobody says.
    """

    question: str
    answer: str
    passages: Sequence[str]
    references: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a text says.

    Args:
        text: A sentence.
        verdict: Of the passages about it; for a claim of a reference, of the answer.
        of_reference: Whether it is the reference that says it.
    """

    text: str
    verdict: Verdict
    of_reference: bool = False


@dataclass(frozen=True, slots=True)
class Judgment:
    """What a judge makes of one answer.

    Args:
        faithfulness: Share of the answer's claims that the passages support, in [0, 1]; None without a readable one.
        correctness: Share of the claims of the reference that the answer covers, of the best reference; None likewise.
        claims: Of the answer, then of that reference.
        problem: Why something of this is missing.
    """

    faithfulness: float | None = None
    correctness: float | None = None
    claims: tuple[Claim, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What judging has cost; what came from the store as it was then.

    Args:
        llm_calls: Requests.
        llm_tokens: Tokens read and written.
        money: In the currency of the prices; None where they, or the tokens, are not known.
    """

    llm_calls: int = 0
    llm_tokens: int = 0
    money: float | None = None


@dataclass(frozen=True, slots=True)
class Judgments:
    """Of all cases.

    Args:
        judged: In their order.
        costs: Of all of them.
        calls: What the model was asked for, and how often it failed.
    """

    judged: Sequence[Judgment]
    costs: Spent
    calls: Sequence[Calls] = ()


class Judge(Component):
    """Says how faithful answers are to what they were written from, and how right."""

    kind: ClassVar[str] = "judge"

    passing: float = 1.0
    """Faithfulness from which an answer is called faithful where two who judge are compared."""

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
            cases: Answers that say something.
            store: Where calls are kept, by exact prompt and model.
            progress: Shows how far it is.
            repetition: Another number judges again instead of finding what was judged before.

        Raises:
            ModelError: The model cannot work at all.
        """


def check_judge(path: Path, *, overrides: Sequence[str] = (), resolved: bool = False) -> str:
    """What ``rag check`` says of a judge's file."""
    judge = load_component(path, Judge, overrides=overrides)  # type: ignore[type-abstract]
    if resolved:
        return dump(judge.spec.to_config())
    return f"{path}: ok (a judge, fingerprint {judge.fingerprint})\n"
