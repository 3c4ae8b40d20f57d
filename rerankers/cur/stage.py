"""The stage that searches by CUR."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Ints
from rag.component import Component, Need
from rag.errors import ConfigError
from rag.rerankers.base import Scorer
from rag.rerankers.cur.alignment import aligned
from rag.rerankers.cur.anchors import choose_anchors
from rag.rerankers.cur.engine import Acquisition, Outcome, Plan, Prior, round_sizes, search
from rag.rerankers.cur.factors import EmbeddingFactors, Factors
from rag.rerankers.cur.items import Everything, Items, Listed, Mask
from rag.rerankers.scoring import Blend, BlendingStage, Scores
from rag.tables import is_in

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["CUR"]

_LEAST = -1e30
"""Stands for a prediction that is below all others."""

_MEMORY = 1 << 28
"""Bytes that the solved systems of the queries that advance together may take."""


class CUR(BlendingStage):
    """Finds the documents a scorer likes best, all over the corpus, with a fixed number of scorer calls per query.

    Instead of scoring the first stage's list from the top, it scores some, predicts the scores of all documents from
    those, scores the most promising, and so on for some rounds; so it reaches what the first stage missed. It answers
    with what it has scored and with the rest of the first stage's list, which its model predicts, in an order blended
    with the first stage's. A query for which the first stage found nothing gets nothing. See ``docs/cur.md``; the
    presets ``anncur``, ``adacur`` and ``axn`` have the settings of the papers.

    Args:
        scorer: The scorer that the budget is spent on.
        factors: The item vectors that scores are predicted from; by default those of the retriever's embedder.
        budget: Scorer calls per query, anchors included: the price. It is spent to the last unless there are fewer
            passages.
        strategy: ``adaptive``: each round is chosen by the scores before it. ``fixed``: ``anchors`` are the same for
            every query, and all the rest of the budget is chosen by their scores (ANNCUR).
        start: The items of the first round: the head of the first stage's list, or anchors chosen once for all: at
            ``random``, nearest to the centers of ``k_means``, or by ``l2_greedy`` each the one that those before
            explain worst.
        rounds: Rounds that the budget (or the ``anchors``, when given) is spent in.
        anchors: Calls spent on learning before the rest is spent at once on the best predictions; None spends all in
            rounds, for ``fixed`` half the budget.
        solver: ``prior_mean_ridge``: ridge regression of what is left of the scores over a line in the first stage's,
            ``s = alpha + beta first_stage + V w`` with ``beta >= 0``; with few calls it behaves as reranking, with many
            as AXN. ``ridge`` and ``pinv`` know nothing of the first stage.
        ridge: Weight against ``w``, relative to the mean square length of the item vectors.
        rcond: ``pinv`` leaves out singular values below this share of the largest.
        interpolation: AXN's lambda: the share of the encoder's own query vector in the weights. Needs ``alignment``.
        alignment: ``training`` puts the scorer on the encoder's scale by a line fitted on training queries (1,600
            calls, once), as AXN does; ``none`` leaves the level free for each query.
        acquisition: How a round's items are chosen: by the ``mean`` prediction; by sampling from its ``softmax``; by
            the upper confidence bound (``ucb``) or a ``thompson`` draw of the Gaussian process that a ridge is.
        exploration: Standard deviations for ``ucb``, scale of the draws for ``thompson``, temperature (in standard
            deviations of the query's scores) for ``softmax``.
        scope: ``corpus``, or how many of the first stage's best may be chosen at all.
        blend: Weight of the first stage's order from 0 to 1; ``tuned`` learns it from at most 200 training queries;
            ``auto``, the default, from at most 50 where there are any. Both take dev queries, where there are some; a
            scorer that does not help on them is left out, by weight 1. Without any, ``auto`` takes 0.75, and 1 for a
            scorer that does not know passages by some of their words (800 calls, once). At weight 1 nothing is scored.
        scores: ``blended``, or ``scorer``: only what was scored, by its exact scores.
        top_k: Documents kept; None keeps all.
        seed: For everything random.
    """

    type = "cur"

    def __init__(
        self,
        *,
        scorer: Scorer,
        factors: Factors = EmbeddingFactors(),  # noqa: B008 - a default component is cloned for each instance
        budget: Annotated[int, Field(ge=1)] = 100,
        strategy: Literal["adaptive", "fixed"] = "adaptive",
        start: Literal["first_stage", "random", "k_means", "l2_greedy"] = "first_stage",
        rounds: Annotated[int, Field(ge=1)] = 10,
        anchors: Annotated[int, Field(ge=1)] | None = None,
        solver: Literal["prior_mean_ridge", "ridge", "pinv"] = "prior_mean_ridge",
        ridge: Annotated[float, Field(gt=0)] = 1.0,
        rcond: Annotated[float, Field(ge=0, lt=1)] = 1e-4,
        interpolation: Annotated[float, Field(ge=0, le=1)] = 0.0,
        alignment: Literal["none", "training"] = "none",
        acquisition: Acquisition = "mean",
        exploration: Annotated[float, Field(ge=0)] = 1.0,
        scope: Literal["corpus"] | Annotated[int, Field(ge=1)] = "corpus",
        blend: Blend = "auto",
        scores: Scores = "blended",
        top_k: Annotated[int, Field(ge=1)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.scorer = scorer
        self.factors = factors
        self.budget = budget
        self.strategy = strategy
        self.start = start
        self.rounds = rounds
        self.anchors = anchors
        self.solver = solver
        self.ridge = ridge
        self.rcond = rcond
        self.interpolation = interpolation
        self.alignment = alignment
        self.acquisition = acquisition
        self.exploration = exploration
        self.scope = scope
        self.blend = blend
        self.scores = scores
        self.top_k = top_k
        self.seed = seed
        self._check()
        self._anchors: Ints | None = None
        self._alignment: tuple[float, float] | None = None
        self._start()

    def _check(self) -> None:
        rules = [
            (self.anchors is None or self.anchors < self.budget, "anchors", f"below the budget ({self.budget})"),
            (
                self.strategy == "fixed" or self.rounds <= (self.anchors or self.budget),
                "rounds",
                f"at most the {'anchors' if self.anchors else 'budget'} ({self.anchors or self.budget})",
            ),
            (self.budget > 1 or self.strategy != "fixed", "budget", "at least 2 with strategy 'fixed'"),
            (
                self.strategy != "fixed" or self.start != "first_stage",
                "start",
                "'random', 'k_means' or 'l2_greedy' with strategy 'fixed'",
            ),
            (self.scope == "corpus" or self.start == "first_stage", "start", "'first_stage' when the scope is a list"),
            (not self.interpolation or self.alignment == "training", "alignment", "'training' to interpolate"),
            (
                self.alignment == "none" or self.solver != "prior_mean_ridge",
                "alignment",
                "'none' with solver 'prior_mean_ridge', which fits the level itself",
            ),
            (
                self.solver != "pinv" or self.acquisition in ("mean", "softmax"),
                "acquisition",
                "'mean' or 'softmax' with solver 'pinv', which gives no variance",
            ),
        ]
        for holds, parameter, rule in rules:
            if not holds:
                raise ConfigError(f"must be {rule}, got {getattr(self, parameter)!r}", parameter=parameter)

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        """Training queries and the first stage's candidates for them, if anything is learned from them."""
        aligned: frozenset[Need] = frozenset({"training", "candidates"} if self.alignment == "training" else set())
        return aligned | super().needs

    @property
    def sizes(self) -> list[int]:
        """Scorer calls per round."""
        if self.strategy == "fixed":
            anchors = self.anchors or self.budget // 2
            return [anchors, self.budget - anchors]
        if self.anchors:
            return [*round_sizes(self.anchors, self.rounds), self.budget - self.anchors]
        return round_sizes(self.budget, self.rounds)

    # -- fitting ----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        self._passages = context.passages
        context.fit(self.scorer)
        inputs: dict[str, Component | str] = {"scorer": self.scorer}
        context.cached_fit(self.factors, lambda: self.factors.build(context, self.scorer), inputs=inputs)
        self._choose_anchors()
        if self.alignment == "training":
            self._alignment = aligned(context, self.scorer, self.factors)
        self._learn_weight(context)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """Keep the parts learned from judged queries; item vectors and anchors become those of the new passages."""
        same = len(kept) == len(self.passages) == len(context.passages)
        self._passages = context.passages
        context.fit(self.scorer)
        self.factors.update(context, kept)  # not by fit: those of another stage are of its scorer
        if same:
            context.keep(self)
            return
        if len(kept) < len(context.passages):
            if "training" in self.factors.needs:
                raise ConfigError(f"{self.factors.spec.label} is made of the training queries' scores: index again")
            self.factors.build(context, self.scorer)
        self._choose_anchors()

    def _choose_anchors(self) -> None:
        if self.start != "first_stage":
            count = min(self.sizes[0], len(self.passages))
            self._anchors = choose_anchors(self.factors.vectors, self.start, count, seed=self.seed)

    def save_state(self, folder: Path) -> None:
        super().save_state(folder)
        learned = {"anchors": self._anchors, "alignment": self._alignment}
        for name, value in learned.items():
            if value is not None:
                np.save(folder / f"{name}.npy", np.asarray(value))

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        learned = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
        self._anchors = learned.get("anchors")
        if "alignment" in learned:
            self._alignment = (float(learned["alignment"][0]), float(learned["alignment"][1]))

    # -- asking -----------------------------------------------------------------------------------------------------

    def ranked(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        n, budget = len(self.passages), min(self.budget, len(self.passages))
        ids = np.full((len(batch), budget), PADDING, dtype=np.int64)
        scores = np.full((len(batch), budget), -np.inf, dtype=np.float32)
        rest = Candidates.empty(len(batch)) if not self.blends else candidates
        # Beyond the scope there is no prediction: below all others, in the first stage's order.
        columns = np.arange(rest.documents.shape[1]) / max(1, rest.documents.shape[1])
        predicted = np.tile(np.float32(_LEAST) * (1 + columns).astype(np.float32), (len(batch), 1))
        step = max(1, _MEMORY // (8 * budget * self.factors.vectors.shape[1]))
        for group in batch.groups(self.passages):
            allowed = None if group.allowed is None else np.zeros(n, dtype=bool)
            if allowed is not None:
                allowed[group.allowed] = True
            members = np.arange(len(batch))[group.rows]
            live = members[candidates.counts[members] > 0]
            for first in range(0, len(live), step):
                rows = live[first : first + step]
                items, exact, of_rest = self._search(batch, candidates, rows, allowed)
                if of_rest is not None:
                    predicted[rows, : of_rest.shape[1]] = of_rest
                if allowed is not None:  # anchors are the same for all, and may have been others
                    items = np.where(allowed[np.maximum(items, 0)], items, PADDING)
                ids[rows], scores[rows] = items[:, :budget], exact[:, :budget]
        if rest.documents.size:
            searched = is_in(rest.passages, ids) | ~rest.mask
            ids = np.concatenate([ids, np.where(searched, PADDING, rest.passages)], axis=1)
            scores = np.concatenate([scores, np.where(searched, -np.inf, predicted)], axis=1)
        owners = np.where(ids >= 0, self.passages.document[np.maximum(ids, 0)], PADDING)
        return Candidates.from_scores(owners, scores, ids).best_per_document(ids.shape[1])

    def _search(self, batch: QueryBatch, candidates: Candidates, rows: Ints, allowed: Mask | None) -> Outcome:
        width = int(candidates.counts[rows].max())
        if self.scope != "corpus":
            width = min(width, self.scope)
        listed, first_scores = candidates.passages[rows, :width], candidates.scores[rows, :width]
        own = self.factors.query_vectors(batch)
        prior = Prior.of(listed, first_scores, None if own is None else own[rows])
        factors = self.factors
        items: Items = Everything(factors.vectors, factors.offsets, listed, allowed)
        if self.scope != "corpus":
            items = Listed(factors.vectors, factors.offsets, listed)
        plan = Plan(
            self.sizes,
            self.solver,
            ridge=self.ridge,
            rcond=self.rcond,
            interpolation=self.interpolation,
            acquisition=self.acquisition,
            exploration=self.exploration,
        )
        start = listed if self._anchors is None else np.broadcast_to(self._anchors, (len(rows), len(self._anchors)))
        return search(
            items,
            lambda queries, passages: self.scorer.score(batch, rows[queries], passages),
            plan,
            first=start,
            prior=prior,
            alignment=self._alignment,
            mean_square=factors.mean_square,
            random=[self._generator(batch.texts[row]) for row in rows.tolist()],
            predict=self.blends,
        )

    # -- within -----------------------------------------------------------------------------------------------------

    def _generator(self, text: str) -> np.random.Generator:
        """A random generator seeded by the query, independent of its batch."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
        return np.random.default_rng([self.seed, int.from_bytes(digest, "little")])
