"""The two contracts a pipeline is made of: what finds candidates, and what works on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from rag.candidates import Candidates, Floats, Ints
from rag.component import Component
from rag.on_passages import OnPassages

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["PairScorer", "Retriever", "Stage"]


class PairScorer(Protocol):
    """What a stage spends calls of: a ``Scorer``."""

    kind: ClassVar[str]
    type: ClassVar[str]

    @property
    def fingerprint(self) -> str:
        """Identity of its scores."""

    def score(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """Relevance of pairs (row of a query, passage), float32 [n]."""
        ...


def _top_k(component: Component) -> int | None:
    top_k = component.spec.arguments.get("top_k")
    return top_k if isinstance(top_k, int) else None


class Retriever(Component):
    """First-stage search: queries to candidates."""

    kind: ClassVar[str] = "retriever"
    needs = frozenset({"corpus"})

    @property
    def limit(self) -> int | None:
        """Documents of a query at most: its argument ``top_k``; None where it has none, or sets no limit."""
        return _top_k(self)

    @abstractmethod
    def retrieve(self, batch: QueryBatch) -> Candidates:
        """The best documents of every query, each once, at most :attr:`limit`."""

    def scaled_by(self, found: Candidates) -> Candidates:
        """A table it gave as those should see it who scale its scores by lowest, mean or spread: the same, or longer
        where a list has room left since all other documents have one known score (:meth:`Candidates.filled`).
        """
        return found

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores that it knows of given documents beside the list it finds, by name: float32 [n, k] each, more is
        better, anything at padding. For learning to rank; only what costs little.

        Args:
            batch: The queries.
            candidates: The documents.
            first: The list that the stage which asks was given, best first.
        """
        return {}

    @property
    def knowledge(self) -> str:
        """Identity of what :meth:`features` and :meth:`query_features` give: of retrievers that know the same, one is
        asked.
        """
        return self.fingerprint

    def query_features(self, batch: QueryBatch) -> Mapping[str, Floats]:
        """What it knows of the queries themselves, by name: float32 [n] each."""
        return {}


class Stage(OnPassages):
    """Works on candidates: reranks, filters, adds. Rows stay in the order of the queries."""

    kind: ClassVar[str] = "stage"

    scores_head: ClassVar[bool] = False
    """Whether its ``budget`` goes to the first candidates in the order of the stage before: it cuts those behind."""

    writes_answers: ClassVar[bool] = False
    """Whether it records answers on batches that want them."""

    @property
    def limit(self) -> int | None:
        """Candidates that it leaves of a query at most: its argument ``top_k``; None where it has none, or sets no
        limit.
        """
        return _top_k(self)

    @property
    def spends(self) -> tuple[PairScorer, int] | None:
        """The scorer whose calls it spends, and how many for a query at most; None for a stage that scores no pairs."""
        return None

    @property
    def ranks_only(self) -> bool:
        """Whether its scores are an order and no more, such as those of a rank fusion: no bound on them means much."""
        return False

    @abstractmethod
    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        """New candidates from those of the stage before."""
