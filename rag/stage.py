"""The two contracts of a pipeline: retrievers, which find candidates, and stages, which process them."""

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
    """A ``Scorer``, as far as a stage declares its calls."""

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
        """Maximum number of documents per query: the argument ``top_k``; None without such an argument or limit."""
        return _top_k(self)

    @abstractmethod
    def retrieve(self, batch: QueryBatch) -> Candidates:
        """The best documents of every query, each once, at most :attr:`limit`."""

    def scaled_by(self, candidates: Candidates) -> Candidates:
        """A table it returned, prepared for scaling scores by lowest, mean or spread: unchanged, or padded where a list
        is short because all other documents have one known score (:meth:`Candidates.filled`).
        """
        return candidates

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores of given documents that it can compute cheaply, by name: float32 [n, k] each, higher is better, any
        value at padding. Used by learning to rank.

        Args:
            batch: The queries.
            candidates: The documents.
            first: The input list of the calling stage, best first.
        """
        return {}

    @property
    def knowledge(self) -> str:
        """Identity of the values of :meth:`features` and :meth:`query_features`: of retrievers with the same, only one
        is called.
        """
        return self.fingerprint

    def query_features(self, batch: QueryBatch) -> Mapping[str, Floats]:
        """Features of the queries themselves, by name: float32 [n] each."""
        return {}


class Stage(OnPassages):
    """A step that processes candidates: reranks, filters or adds. Rows stay in the order of the queries."""

    kind: ClassVar[str] = "stage"

    scores_head: ClassVar[bool] = False
    """Whether its ``budget`` goes to the first candidates in the order of the stage before: it cuts those behind."""

    writes_answers: ClassVar[bool] = False
    """Whether it records answers on batches that want them."""

    @property
    def limit(self) -> int | None:
        """Maximum number of candidates per query: the argument ``top_k``; None without such an argument or limit."""
        return _top_k(self)

    @property
    def spends(self) -> tuple[PairScorer, int] | None:
        """The scorer that it calls, and the maximum number of calls per query; None if it scores no pairs."""
        return None

    @property
    def ranks_only(self) -> bool:
        """Whether its scores only express an order, as those of a rank fusion, so that a threshold means little."""
        return False

    @abstractmethod
    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        """New candidates from those of the stage before."""
