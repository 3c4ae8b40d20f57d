"""What a batch of queries has spent, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields

__all__ = ["Costs", "Ledger", "Texts"]


@dataclass(slots=True)
class Costs:
    """Sums over a batch of queries.

    Args:
        seconds: Wall time.
        texts_embedded: Texts that went through an embedder (queries at search, passages at fit).
        scorer_calls: (query, passage) pairs that a scorer such as a cross-encoder has scored.
        llm_calls: Requests to a language model.
        llm_tokens: Tokens read and written by language models.
    """

    seconds: float = 0.0
    texts_embedded: int = 0
    scorer_calls: int = 0
    llm_calls: int = 0
    llm_tokens: int = 0

    def __iadd__(self, other: Costs) -> Costs:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        return self

    def __isub__(self, other: Costs) -> Costs:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) - getattr(other, one.name))
        return self

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(slots=True)
class Texts:
    """Texts that were asked of language models: summaries, rewritten queries, answers.

    Args:
        wanted: How many were asked for.
        missing: How many of them did not come.
        problem: Why, of the first that did not.
    """

    wanted: int = 0
    missing: int = 0
    problem: str = ""

    def __iadd__(self, other: Texts) -> Texts:
        self.wanted += other.wanted
        self.missing += other.missing
        self.problem = self.problem or other.problem
        return self


@dataclass(slots=True)
class Ledger:
    """Costs by stage, and texts that were asked for. One stage is open at a time; what is spent goes to it."""

    stages: dict[str, Costs] = field(default_factory=dict)
    texts: dict[str, Texts] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Costs]:
        """Time a stage and book everything spent inside under ``name``."""
        costs = self.stages.setdefault(name, Costs())
        self._open.append(name)
        start = time.perf_counter()
        try:
            yield costs
        finally:
            costs.seconds += time.perf_counter() - start
            self._open.pop()

    def spend(
        self,
        *,
        seconds: float = 0.0,
        texts_embedded: int = 0,
        scorer_calls: int = 0,
        llm_calls: int = 0,
        llm_tokens: int = 0,
    ) -> None:
        """Book a cost to the open stage (``other`` when none is open). The stage's own time is booked by itself;
        ``seconds`` are those of work that was done earlier and found in the store.
        """
        self.book(Costs(seconds, texts_embedded, scorer_calls, llm_calls, llm_tokens))

    def book(self, costs: Costs) -> None:
        """:meth:`spend`, all at once."""
        own = self.stages.setdefault(self._open[-1] if self._open else "other", Costs())
        own += costs

    def wrote(self, texts: Texts) -> None:
        """Book texts that were asked for to the open stage."""
        own = self.texts.setdefault(self._open[-1] if self._open else "other", Texts())
        own += texts

    def add(self, other: Ledger) -> None:
        """Book everything of another ledger here too."""
        for name, costs in other.stages.items():
            own = self.stages.setdefault(name, Costs())
            own += costs
        self.add_texts(other)

    def add_texts(self, other: Ledger) -> None:
        """Book the texts alone of another ledger here too."""
        for name, texts in other.texts.items():
            mine = self.texts.setdefault(name, Texts())
            mine += texts

    @property
    def total(self) -> Costs:
        total = Costs()
        for costs in self.stages.values():
            total += costs
        return total
