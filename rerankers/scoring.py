"""The base of stages that spend scorer calls, and the blend that they answer with."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.component import Need
from rag.errors import ConfigError
from rag.rerankers.base import Scorer
from rag.rerankers.blend import Qrels, blended, choosing_sample, learned_weight
from rag.rerankers.trust import trust_in
from rag.stage import PairScorer, Stage

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Blend", "BlendingStage", "Scores", "ScoringStage"]

Blend = Annotated[float, Field(ge=0, le=1)] | Literal["auto", "tuned"] | None
"""Weight of the first stage: a number; ``tuned``, learned from training queries; ``auto``, the same where there are
any, else three quarters, and 1 for a scorer that does not know passages by words of theirs. None is the same as
``scores: scorer``."""

Scores = Literal["blended", "scorer"]
"""Whether a stage answers with the blend, everything it was given included, or with what was scored alone."""

_UNTUNED = 0.75
"""Weight of ``auto`` without training queries: three quarters were better than a half in each of four measured parts,
and cost less where a scorer is poor (benchmarks/README.md)."""

_QUERIES = {"tuned": 200, "auto": 50}
"""Training queries that are scored to learn the weight, at most. Few for ``auto``: nobody asked for that expense."""

_FILE = "blend.json"


class ScoringStage(Stage):
    """Base of stages that have a scorer judge some documents.

    Attributes:
        scorer: Judges pairs.
        budget: Scorer calls per query, at most.
        top_k: Documents kept; None keeps all.
    """

    scorer: Scorer
    budget: int
    top_k: int | None

    @property
    def spends(self) -> tuple[PairScorer, int]:
        return self.scorer, self.budget

    def _check_top_k(self) -> None:
        """Refuse to keep more than is scored."""
        if self.top_k is not None and self.top_k > self.budget:
            raise ConfigError(f"must be at most the budget ({self.budget}), got {self.top_k}", parameter="top_k")


class BlendingStage(ScoringStage):
    """Base of scoring stages that answer with a blend.

    A scorer may be worse than what comes before it, and what it has not scored is not worthless. So by default a stage
    answers with a blend of two orders, its own and the first stage's, fused by reciprocal rank, and documents that were
    not scored stay in the list. A subclass gives its own order of all of them (:meth:`ranked`).

    Attributes:
        blend: See :data:`Blend`.
        scores: See :data:`Scores`.
    """

    blend: Blend
    scores: Scores
    _weight: float | None = None
    _why: str = ""
    """Why the weight is what it is, where it was not learned and might have been."""

    def _start(self) -> None:
        """Check the shared arguments; the last call of a subclass' constructor."""
        if not self.blends:
            self._check_top_k()
        self._weight = self._fixed_weight()

    @property
    def blends(self) -> bool:
        """Whether the stage returns a blend of two orders."""
        return self.scores == "blended" and self.blend is not None

    def _identity(self) -> dict[str, Any]:
        """Without ``scores`` where no blend is asked for: there it decides nothing, and indexes older than it is have
        none.
        """
        identity = super()._identity()
        if self.blend is None:
            identity.pop("scores", None)  # presets have none
        return identity

    @property
    def ranks_only(self) -> bool:
        return self.blends

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        if not self.blends or isinstance(self.blend, float | int):
            return frozenset()
        return frozenset({"candidates", "training" if self.blend == "tuned" else "training_if_given"})

    @property
    def _caches_state(self) -> bool:
        """Scores are in the store; the weight is learned from them again in no time."""
        return False

    @abstractmethod
    def ranked(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        """Candidates in the scorer's order: those it scored and, when the stage blends, also the rest of those it was
        given, placed where a model of the scorer or the first stage would have them.
        """

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        ranked = candidates if self._weight == 1 else self.ranked(batch, candidates)
        if self._weight is not None:
            ranked = blended(ranked, candidates, self._weight)
        return ranked.head(self.top_k) if self.top_k else ranked

    def _learn_weight(self, context: FitContext) -> None:
        """Learn the weight if it is set to be learned and there are training queries; without any, see whether the
        scorer may have a say.
        """
        self._weight = self._fixed_weight()
        self._why = ""
        training = context.training
        if "candidates" not in self.needs or self.blend not in _QUERIES:
            return
        unjudged = ""
        if training is None:
            unjudged = "no question is judged"
        elif self.scorer.spec.learns and training.dev is None:
            unjudged = "the scorer was trained on the judged questions, and there are no dev queries"
        elif not any(_has_relevant(part.qrels) for part in (training, training.dev) if part is not None):
            unjudged = "no judged question has a relevant document"
        if unjudged:
            trust = trust_in(self.scorer, context)
            self._why = f"{unjudged}; {trust}"
            self._weight = self._weight if trust.is_enough or trust.is_open else 1.0
            return
        batch, candidates, judgments = choosing_sample(context, _QUERIES[str(self.blend)])
        ranked = self.ranked(batch, candidates)
        self._weight = learned_weight(ranked, candidates, batch, judgments, context.corpus)

    def save_state(self, folder: Path) -> None:
        if self._weight != self._fixed_weight() or self._why:
            (folder / _FILE).write_text(json.dumps([self._weight, self._why], ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        file = Path(folder) / _FILE
        saved: Any = json.loads(file.read_text(encoding="utf-8")) if file.exists() else self._fixed_weight()
        self._weight, self._why = saved if isinstance(saved, list) else (saved, "")  # older indexes have no reason

    def notes(self) -> tuple[str, ...]:
        if not self.blends or self.blend not in _QUERIES or self._weight is None:
            return ()
        said = (
            f"{self.spec.label} weighs the first stage's order {self._weight:g} and the scorer's {1 - self._weight:g}"
        )
        why = self._why or ("on judged queries the scorer did not help" if self._weight == 1 else "")
        return (said + (f": {why}" if why else ""),)

    @property
    def weight(self) -> float | None:
        """Weight of the first stage's order in the blend, once fitted; None without a blend."""
        return self._weight

    def _fixed_weight(self) -> float | None:
        if not self.blends:
            return None
        return _UNTUNED if isinstance(self.blend, str) or self.blend is None else float(self.blend)


def _has_relevant(qrels: Qrels) -> bool:
    return any(grade > 0 for grades in qrels.values() for grade in grades.values())
