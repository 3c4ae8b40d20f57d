"""The costs of a batch of queries, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields

from rag.calls import MAX_FAILED, Calls, too_many_failed
from rag.display import Part, Shown, Table, count
from rag.errors import IncompleteError
from rag.waiting import working_time

__all__ = ["Costs", "Ledger", "check_calls"]


@dataclass(slots=True)
class Costs:
    """Sums over a batch of queries.

    Args:
        seconds: Wall time, without waiting for other processes and the loading of models.
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
        for field_ in fields(self):
            setattr(self, field_.name, getattr(self, field_.name) + getattr(other, field_.name))
        return self

    def __isub__(self, other: Costs) -> Costs:
        for field_ in fields(self):
            setattr(self, field_.name, getattr(self, field_.name) - getattr(other, field_.name))
        return self

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    def shares(self, n: int) -> list[Costs]:
        """Equal parts for ``n`` queries, which sum to the whole: of counts that cannot be divided, the first parts have
        one more.
        """
        counts = {name: divmod(int(value), max(n, 1)) for name, value in self.as_dict().items() if name != "seconds"}
        return [
            Costs(self.seconds / n, **{name: each + (row < rest) for name, (each, rest) in counts.items()})
            for row in range(n)
        ]


@dataclass(slots=True, repr=False)
class Ledger(Shown):
    """Costs by stage. One stage is open at a time; costs go to it.

    Args:
        stages: Costs by stage.
        calls: Requests to language models, by stage and model.
    """

    stages: dict[str, Costs] = field(default_factory=dict)
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def _summary(self) -> list[str]:
        by_time = sorted(self.stages.items(), key=lambda entry: -entry[1].seconds)
        lines = [f"{name}: {costs.seconds:.3g} s" for name, costs in by_time[:4]]
        more = [f"… {count(len(by_time) - 4, 'more stage')}"] if len(by_time) > 4 else []
        return [f"Ledger: {self.total.seconds:.3g} s in {count(len(self.stages), 'stage')}", *lines, *more]

    def _details(self) -> list[Part]:
        rows = [[name, *costs.as_dict().values()] for name, costs in self.stages.items()]
        return [Table(["stage", *Costs().as_dict()], rows)]

    @contextmanager
    def stage(self, name: str) -> Iterator[Costs]:
        """Time a stage, and record all costs inside under ``name``."""
        costs = self.stages.setdefault(name, Costs())
        self._open.append(name)
        start = working_time()
        try:
            yield costs
        finally:
            costs.seconds += working_time() - start
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
        """Record costs of the open stage (``other`` when none is open). The stage's own time is recorded separately;
        ``seconds`` are those of earlier work found in the store.
        """
        self.book(Costs(seconds, texts_embedded, scorer_calls, llm_calls, llm_tokens))

    def book(self, costs: Costs) -> None:
        """:meth:`spend`, all at once."""
        own = self.stages.setdefault(self._stage, Costs())
        own += costs

    def called(self, model: str, asked: int, problems: Mapping[str, str], *, is_model: bool = True) -> None:
        """Count texts requested from a model for the open stage.

        Args:
            model: Description of the model.
            asked: Number of texts.
            problems: Reasons of failures, by id.
            is_model: See :class:`~rag.calls.Calls`.
        """
        new = Calls(model, self._stage, is_model=is_model)
        self.calls.setdefault((self._stage, model), new).add(asked, problems)

    @property
    def _stage(self) -> str:
        return self._open[-1] if self._open else "other"

    def add(self, other: Ledger) -> None:
        """Add everything of another ledger."""
        for name, costs in other.stages.items():
            own = self.stages.setdefault(name, Costs())
            own += costs
        self.join_calls(other)

    def join_calls(self, other: Ledger) -> None:
        """Add the requests to models of another ledger, but not its costs."""
        for key, calls in other.calls.items():
            self.calls.setdefault(key, Calls(calls.model, calls.stage, is_model=calls.is_model)).join(calls)

    @property
    def total(self) -> Costs:
        total = Costs()
        for costs in self.stages.values():
            total += costs
        return total


def check_calls(ledger: Ledger, max_failed: float = MAX_FAILED) -> None:
    """Refuse results that lack too many texts.

    Raises:
        IncompleteError: More than ``max_failed`` of the texts of one model are missing.
    """
    problem = too_many_failed(ledger.calls.values(), max_failed)
    if problem is not None:
        raise IncompleteError(problem)
