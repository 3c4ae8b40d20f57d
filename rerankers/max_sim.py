"""Late interaction over token embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Floats, Ints, Vectors
from rag.component import Runtime
from rag.errors import NotFittedError
from rag.models import Device, Precision, load_sentence_transformer, precision_context
from rerankers.base import Scorer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from rag.batch import QueryBatch
    from rag.context import FitContext

__all__ = ["MaxSim"]

_BLOCK = 1 << 25
"""Numbers gathered at a time while scoring: 128 MiB of float32."""


class MaxSim(Scorer):
    """For each token of the query, the best cosine among the passage's tokens (ColBERT: Khattab and Zaharia 2020).

    Works with any sentence-transformers checkpoint by its last hidden states; checkpoints trained for it do better.
    Departs from the paper in giving the mean over query tokens instead of the sum (ranking within a query is the same,
    scores lie in [-1, 1] whatever the query's length), and in adding no mask tokens to queries.

    Tokens of all passages are embedded when the pipeline is fitted and kept in float16: 2 bytes x tokens x dimensions,
    about 100 KiB for a passage of 128 tokens and 384 dimensions. A query then costs its own encoding and products.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH``.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        max_length: Longest passage in tokens; longer ones are cut. None takes the model's own.
        precision: ``auto`` embeds passages in bfloat16 autocast where the processor has it in hardware, queries in
            float32.
        batch_size: Texts per forward pass; they are sorted by length first.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.
    """

    type = "max_sim"
    needs = frozenset({"corpus"})

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        max_length: Annotated[int, Field(ge=8)] | None = None,
        precision: Precision = "auto",
        batch_size: Annotated[int, Field(ge=1, le=4096), Runtime()] = 32,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.precision = precision
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code
        self._tokens: npt.NDArray[np.float16] | None = None  # [tokens of all passages, d]
        self._ends: Ints | None = None  # [passages + 1]: where each passage's tokens end

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The loaded model, shared by all components that name it."""
        return load_sentence_transformer(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        blocks, lengths = [], []
        with context.progress("embedding tokens (max_sim)", len(context.passages)) as advance:
            for block in context.passages.iter_texts():
                tokens, counts = self._embed(block, "document", self.precision, advance)
                blocks.append(tokens.astype(np.float16))
                lengths.append(counts)
        context.ledger.spend(texts_embedded=len(context.passages))
        self._tokens = np.concatenate(blocks)
        self._ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        if self._tokens is None or self._ends is None:
            raise NotFittedError("'max_sim' has not been fitted: fit the pipeline it is in first")
        queries, query_ends = batch.remember("tokens", self.fingerprint, lambda: self._embed_queries(batch))
        lengths = self._ends[passages + 1] - self._ends[passages]
        scores = np.empty(len(rows), dtype=np.float32)
        # One product per query and block of its passages: queries differ in their tokens, passages are gathered.
        limit = max(1, _BLOCK // self._tokens.shape[1])
        first = 0
        while first < len(rows):
            row = int(rows[first])
            last = int(np.searchsorted(rows, row, side="right"))
            last = min(last, first + max(1, int(np.searchsorted(np.cumsum(lengths[first:last]), limit, side="right"))))
            some = lengths[first:last]
            starts = np.cumsum(some) - some
            take = np.repeat(self._ends[passages[first:last]] - starts, some) + np.arange(int(some.sum()))
            tokens = self._tokens[take].astype(np.float32)
            similarity = tokens @ queries[query_ends[row] : query_ends[row + 1]].T
            scores[first:last] = np.maximum.reduceat(similarity, starts, axis=0).mean(axis=1)
            first = last
        return scores

    def _embed_queries(self, batch: QueryBatch) -> tuple[Vectors, Ints]:
        batch.ledger.spend(texts_embedded=len(batch))
        precision: Precision = "float32" if self.precision == "auto" else self.precision
        tokens, counts = self._embed(batch.texts, "query", precision)
        return tokens, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def _embed(
        self,
        texts: Sequence[str],
        prompt_name: str,
        precision: Precision,
        advance: Callable[[int], None] | None = None,
    ) -> tuple[Vectors, Ints]:
        """Unit vectors of all tokens in the order of the texts, float32 [tokens, d], and tokens per text, int64 [n]."""
        import torch

        encoder = self.encoder
        prompt = encoder.prompts.get(prompt_name) or None
        limit = {} if self.max_length is None else {"max_length": self.max_length, "truncation": True}
        options: dict[str, Any] = {"processing_kwargs": {"text": limit}} if limit else {}
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts: list[Vectors] = [np.empty(0)] * len(texts)
        with torch.inference_mode(), precision_context(precision, encoder.device.type):
            encoder.eval()
            for first in range(0, len(order), self.batch_size):
                rows = order[first : first + self.batch_size]
                features = encoder.preprocess([texts[row] for row in rows], prompt=prompt, **options)
                moved = {k: v.to(encoder.device) if hasattr(v, "to") else v for k, v in features.items()}
                out = encoder(moved)
                vectors = torch.nn.functional.normalize(out["token_embeddings"].float(), dim=-1)
                mask = out["attention_mask"].bool()
                flat = vectors[mask].cpu().numpy()
                counts = mask.sum(dim=1).cpu().numpy()
                for row, part in zip(rows, np.split(flat, np.cumsum(counts)[:-1]), strict=True):
                    parts[row] = part
                if advance:
                    advance(len(rows))
        return np.concatenate(parts), np.asarray([len(part) for part in parts], dtype=np.int64)

    def save_state(self, folder: Path) -> None:
        if self._tokens is None or self._ends is None:
            raise NotFittedError("'max_sim' has not been fitted: fit the pipeline it is in first")
        np.save(folder / "tokens.npy", self._tokens)
        np.save(folder / "ends.npy", self._ends)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self._ends = np.load(folder / "ends.npy")
