"""The papers' settings of CUR search, by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rag.rerankers.base import Scorer
from rag.rerankers.cur.factors import EmbeddingFactors, Factors
from rag.rerankers.cur.stage import CUR

__all__ = ["ADACUR", "ANNCUR", "AXN"]


class ANNCUR(CUR):
    """The same anchor items for every query, then all the rest of the budget on the best predictions (Yadav et al.,
    EMNLP 2022). Meant for ``anchor_queries`` factors.

    Departs from the paper in cutting small singular values: without that, as many anchors as anchor queries predict
    nothing.

    Args:
        scorer: The scorer that the budget is spent on.
        factors: The item vectors that scores are predicted from.
        budget: Scorer calls per query, anchors included.
        anchors: Anchor items; None takes half the budget.
        start: How anchors are chosen; the paper draws them at random.
        top_k: Documents kept; None keeps all that were scored.
        seed: For everything random.
    """

    type = "anncur"

    def __init__(
        self,
        *,
        scorer: Scorer,
        factors: Factors,
        budget: Annotated[int, Field(ge=2)] = 100,
        anchors: Annotated[int, Field(ge=1)] | None = None,
        start: Literal["random", "k_means", "l2_greedy"] = "random",
        top_k: Annotated[int, Field(ge=1)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(
            scorer=scorer,
            factors=factors,
            budget=budget,
            strategy="fixed",
            start=start,
            anchors=anchors,
            solver="pinv",
            scores="scorer",
            top_k=top_k,
            seed=seed,
        )


class ADACUR(CUR):
    """Anchor items chosen in rounds by the scores so far, then the rest of the budget on the best predictions (Yadav et
    al., EMNLP Findings 2023). Meant for ``anchor_queries`` factors.

    Args:
        scorer: The scorer that the budget is spent on.
        factors: The item vectors that scores are predicted from.
        budget: Scorer calls per query, anchors included.
        anchors: Calls spent in rounds; None spends the whole budget so.
        rounds: Rounds; the paper has 5 to 10.
        start: Items of the first round.
        selection: ``top_k`` takes the best predictions of a round, ``softmax`` samples from them.
        top_k: Documents kept; None keeps all that were scored.
        seed: For everything random.
    """

    type = "adacur"

    def __init__(
        self,
        *,
        scorer: Scorer,
        factors: Factors,
        budget: Annotated[int, Field(ge=1)] = 100,
        anchors: Annotated[int, Field(ge=1)] | None = None,
        rounds: Annotated[int, Field(ge=1)] = 5,
        start: Literal["first_stage", "random", "k_means", "l2_greedy"] = "first_stage",
        selection: Literal["top_k", "softmax"] = "top_k",
        top_k: Annotated[int, Field(ge=1)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(
            scorer=scorer,
            factors=factors,
            budget=budget,
            start=start,
            rounds=rounds,
            anchors=anchors,
            solver="pinv",
            acquisition="mean" if selection == "top_k" else "softmax",
            scores="scorer",
            top_k=top_k,
            seed=seed,
        )
        self.selection = selection


class AXN(CUR):
    """The whole budget in rounds, with the vectors of an encoder or of a sparse factorization (Yadav et al., ICLR
    2024).

    Args:
        scorer: The scorer that the budget is spent on.
        factors: The item vectors that scores are predicted from; they need vectors for queries.
        budget: Scorer calls per query.
        rounds: Rounds; the first one scores the head of the first stage's list.
        ridge: Weight against the query's vector, relative to the mean square length of the item vectors.
        interpolation: Share of the encoder's own query vector; the paper tunes it: 0.8 to find the best document, 0 to
            find the best hundred.
        scope: ``corpus``, or how many of the first stage's best may be chosen at all.
        top_k: Documents kept; None keeps all that were scored.
        seed: For everything random.
    """

    type = "axn"

    def __init__(
        self,
        *,
        scorer: Scorer,
        factors: Factors = EmbeddingFactors(),  # noqa: B008 - a default component is cloned for each instance
        budget: Annotated[int, Field(ge=1)] = 100,
        rounds: Annotated[int, Field(ge=1)] = 10,
        ridge: Annotated[float, Field(gt=0)] = 1.0,
        interpolation: Annotated[float, Field(ge=0, le=1)] = 0.0,
        scope: Literal["corpus"] | Annotated[int, Field(ge=1)] = "corpus",
        top_k: Annotated[int, Field(ge=1)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(
            scorer=scorer,
            factors=factors,
            budget=budget,
            rounds=rounds,
            solver="ridge",
            ridge=ridge,
            interpolation=interpolation,
            alignment="training",
            scope=scope,
            scores="scorer",
            top_k=top_k,
            seed=seed,
        )
