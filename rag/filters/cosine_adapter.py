"""The Cosine Adapter: a calibrated cutoff after dense retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates
from rag.component import Inherited
from rag.embedders.base import Embedder
from rag.errors import DataError
from rag.filters.curves import Family
from rag.filters.keep import Keep
from rag.filters.network import Size
from rag.filters.score_adapter import Features, ScoreAdapter

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["CosineAdapter"]

_ROUNDING = 1e-3
"""Tolerance above 1 for cosines computed in reduced precision."""


class CosineAdapter(ScoreAdapter):
    """Learns, for each query, the curve from cosine to probability of relevance, and cuts there (Rossi et al., CIKM
    2024).

    Dense retrieval always returns its k documents, relevant or not, and a cosine of 0.5 has a different meaning for
    each query. Here the encoder stays unchanged; a network maps the query to the parameters of a curve that puts all
    queries on one scale, so that one threshold suits them all.

    With ``features: query`` this is the paper's adapter: a curve of the cosine, predicted from the query embedding. The
    default, ``query_and_scores``, is an extension: the network also sees the shape of the list (mean, spread, leading
    scores and gaps), and the curve is a function of the cosine in standard deviations from the mean of its list.
    Learning and calibration are those of ``score_adapter``.

    Args:
        embedder: The embedder, by default the retriever's, whose query embeddings are already computed.
        features: Inputs of the prediction: ``query_and_scores``, ``query`` or ``scores``. With scores, the curve is a
            function of the standardized cosine, else of the cosine itself.
    """

    type = "cosine_adapter"

    def __init__(
        self,
        *,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        features: Features = "query_and_scores",
        family: Family = "linear",
        monotone: bool = True,
        network: Size = "small",
        networks: Annotated[int, Field(ge=1, le=10)] = 10,
        negatives: Annotated[int, Field(ge=1)] = 100,
        keep: Keep = {"recall": 0.95},  # noqa: B006 - copied for each instance
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__(
            embedder=embedder,
            features=features,
            family=family,
            monotone=monotone,
            network=network,
            networks=networks,
            negatives=negatives,
            keep=keep,
            top_k=top_k,
        )

    def _scale_of(self, mean: float, spread: float) -> tuple[float, float]:
        return 0.0, 1.0  # cosines have a scale

    def _check(self, batch: QueryBatch, candidates: Candidates) -> None:
        size = np.where(candidates.mask, np.abs(candidates.scores), 0)
        worst = int(size.max(axis=1).argmax())
        if size[worst].max() > 1 + _ROUNDING:
            raise DataError(
                f"{self.spec.label} takes cosines, between -1 and 1, and the stage before gave {size[worst].max():.3g} "
                f"for query '{batch.queries[worst].id}': put it directly after a dense retriever with "
                f"metric cosine, or "
                "use 'score_adapter'"
            )
