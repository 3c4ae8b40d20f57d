"""Encode the token vectors of a text as a single vector, for any index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Need, Tunable
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.embedders.fixed_dimensional import FixedDimensional
from rag.embedders.principal import principal_directions
from rag.errors import ConfigError, NotFittedError
from rag.remarks import Remark

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["MUVERA"]


class MUVERA(AroundEmbedder):
    """Fixed dimensional encodings of token vectors (MUVERA: Dhulipala et al. 2024): one vector for each text, whose
    inner product with a query's estimates their late-interaction score. So any index finds candidates for
    ``late_interaction``, in ``dense`` with ``metric: inner_product``.

    Pays for encoders that were trained for late interaction (``multi_vector``). For others the pooled vector, which
    comes from the same pass, finds more in fewer dimensions; a remark says so.

    The length is ``repetitions * 2 ** k_sim * d_proj``, or ``final_dimension``: 2,560 by default.

    Args:
        embedder: Gives the token vectors.
        k_sim: Hyperplanes that part the token space: ``2 ** k_sim`` parts.
        repetitions: Independent partitions; the paper finds more of these better than more parts.
        projection: How tokens are shortened before they are summed: ``random`` signs (the paper), ``svd`` directions of
            the corpus' tokens (better at equal length), or ``none``.
        d_proj: Length of shortened tokens.
        final_dimension: Length after a count sketch; None keeps all.
        fill: Give parts without a token the nearest one (the paper). For encoders that were not trained for late
            interaction leaving them empty is better.
        seed: Seed of the random parts.
    """

    type = "muvera"
    length_counts = True
    embedder: TokenEmbedder

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        k_sim: Annotated[int, Field(ge=0, le=10), Tunable(choices=(3, 4, 5), gain=0.002)] = 4,
        repetitions: Annotated[int, Field(ge=1, le=200), Tunable(choices=(10, 20, 40), gain=0.002)] = 20,
        projection: Literal["none", "random", "svd"] = "random",
        d_proj: Annotated[int, Field(ge=1)] = 8,
        final_dimension: Annotated[int, Field(ge=1)] | None = None,
        fill: bool = True,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.embedder = embedder
        self.k_sim = k_sim
        self.repetitions = repetitions
        self.projection = projection
        self.d_proj = d_proj
        self.final_dimension = final_dimension
        self.fill = fill
        self.seed = seed
        self._space: FixedDimensional | None = None
        self._directions: Vectors | None = None

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return frozenset({"corpus"} if self.projection == "svd" else ())

    @property
    def token_source(self) -> TokenEmbedder:
        return self.embedder

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        self._width()
        if not self.embedder.trained_for_max_sim:
            context.note(
                Remark(
                    "not_trained_for_max_sim",
                    f"muvera over {self.embedder.spec.label}, which was not trained for late interaction: its pooled "
                    "vector (dense with the same embedder) finds more of the best passages in fewer dimensions",
                )
            )
        if self.projection == "svd":
            self._directions = principal_directions(context.embed_passage_tokens(self.embedder).vectors, self._width())

    def _width(self) -> int:
        full = self.embedder.dimension
        if self.projection != "none" and self.d_proj > full:
            raise ConfigError(
                f"must be at most the token vectors' {full} dimensions, got {self.d_proj}", parameter="d_proj"
            )
        return self.d_proj if self.projection != "none" else full

    @property
    def space(self) -> FixedDimensional:
        """The partition of space in which texts are encoded.

        Raises:
            NotFittedError: The directions of ``svd`` are not known yet.
        """
        if self._space is None:
            full, width = self.embedder.dimension, self._width()
            projection: Vectors | None = None
            if self.projection == "random":
                rng = np.random.default_rng([self.seed, 1])
                signs = rng.choice(np.array([-1, 1], dtype=np.float32), size=(self.repetitions, full, width))
                projection = signs / np.sqrt(np.float32(width))
            elif self.projection == "svd":
                if self._directions is None:
                    raise NotFittedError.of(self)
                projection = self._directions[None]
            self._space = FixedDimensional(
                full,
                k_sim=self.k_sim,
                repetitions=self.repetitions,
                projection=projection,
                final_dimension=self.final_dimension,
                seed=self.seed,
            )
        return self._space

    @property
    def dimension(self) -> int:
        if self.final_dimension is not None:
            return self.final_dimension
        return int(self.repetitions * 2**self.k_sim * self._width())

    def from_tokens(self, tokens: TokenVectors, *, query: bool) -> Vectors:
        return self.space.queries(tokens) if query else self.space.documents(tokens, fill=self.fill)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.from_tokens(self.embedder.embed_query_tokens(texts), query=True)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.from_tokens(self.embedder.embed_document_tokens(texts, advance=advance)[0], query=False)

    def save_state(self, folder: Path) -> None:
        if self._directions is not None:
            np.save(folder / "directions.npy", self._directions)

    def load_state(self, folder: Path, context: FitContext) -> None:
        if self.projection == "svd":
            self._directions = np.load(folder / "directions.npy")
