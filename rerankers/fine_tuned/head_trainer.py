"""Train a projection of token vectors by late interaction, on stored vectors of a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats, Ints
from rag.embedders.base import TokenVectors
from rag.learning.adam import Adam
from rag.rerankers.fine_tuned.head_forms import forward
from rag.rerankers.fine_tuned.mining import Mined

if TYPE_CHECKING:
    import torch

__all__ = ["HeadTrainer"]

_BLOCK = 1 << 25
"""Similarities of tokens held at a time: 128 MiB of float32."""
_TEACHER = 3.0
"""Standard deviation of a teacher's scores in the softmax."""


class HeadTrainer:
    """Adam on the late-interaction score of a projection.

    Every step finds the best token of each passage for each token of a question, which needs no gradient, and then
    differentiates the products of these pairs alone: a fraction of the work of going back through all of them.

    Args:
        parameters: Where to begin, by name; see :func:`~rag.rerankers.fine_tuned.head_forms.forward`.
        queries: Token vectors of the training queries.
        passages: Token vectors of all passages.
        examples: Questions, relevant passages and hard negatives.
        relevant: Mask of relevant passages, CSR array of bool [queries, passages]: these are nobody's negatives.
        n_negatives: Hard negatives drawn for each question in each epoch.
        teacher: A scorer's scores of the relevant passage and of the negatives, float32 [pairs, 1 + k]: their
            distribution is learned in place of the judgments. None learns from judgments.
        temperature: Temperature of the mean cosines in the softmax.
        learning_rate: Learning rate.
        batch_size: Questions per step, whose passages are negatives of one another.
        seed: Seed of all draws.
    """

    def __init__(
        self,
        parameters: Mapping[str, Floats],
        queries: TokenVectors,
        passages: TokenVectors,
        examples: Mined,
        relevant: Any,
        *,
        n_negatives: int,
        teacher: Floats | None,
        temperature: float,
        learning_rate: float,
        batch_size: int,
        seed: int,
    ) -> None:
        import torch

        self._queries, self._passages, self._examples, self._relevant = queries, passages, examples, relevant
        self._n_negatives, self._temperature, self._batch_size = n_negatives, temperature, batch_size
        self._teacher = teacher
        if teacher is not None:
            known = np.concatenate([np.ones((len(teacher), 1), dtype=bool), examples.negatives >= 0], axis=1)
            self._teacher = teacher * np.float32(_TEACHER / max(float(teacher[known].std()), 1e-6))
        self._random = np.random.default_rng(seed)
        self._arrays = {name: value.copy() for name, value in parameters.items()}
        # The tensors are views of the arrays. torch.optim takes seconds to import.
        self._weights = {name: torch.from_numpy(array).requires_grad_() for name, array in self._arrays.items()}
        self._adam = Adam(list(self._arrays.values()), learning_rate=learning_rate)

    @property
    def parameters(self) -> dict[str, Floats]:
        """The parameters as they are now."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def epoch(self) -> float:
        """Look at every question once, with one of its relevant passages; the mean loss on the way."""
        order = self._random.permutation(len(self._examples.rows))
        _, first = np.unique(self._examples.rows[order], return_index=True)
        pairs = order[np.sort(first)]
        losses = 0.0
        for start in range(0, len(pairs), self._batch_size):
            chosen = pairs[start : start + self._batch_size]
            losses += self._step(chosen) * len(chosen)
        return losses / max(len(pairs), 1)

    def _step(self, pairs: Ints) -> float:
        import torch

        rows = self._examples.rows[pairs]
        columns = self._drawn(pairs)
        negatives = np.take_along_axis(self._examples.negatives[pairs], columns, axis=1)
        own = np.concatenate([self._examples.positives[pairs][:, None], negatives], axis=1)  # [b, 1 + n]
        documents = np.unique(own[own >= 0])
        at = np.searchsorted(documents, np.maximum(own, 0))
        scores = self._scores(rows, documents) / self._temperature  # [b, m]
        inside = torch.from_numpy(own >= 0)
        if self._teacher is None:
            # Of the passages of all, those that are relevant to a question count only where it is their turn.
            out = self._relevant[rows][:, documents].toarray()
            np.put_along_axis(out, at[:, :1], False, axis=1)
            logits = scores.masked_fill(torch.from_numpy(out), -torch.inf)
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(at[:, 0]))
        else:
            places = np.concatenate([np.zeros((len(pairs), 1), dtype=np.int64), columns + 1], axis=1)
            wanted = torch.from_numpy(np.take_along_axis(self._teacher[pairs], places, axis=1))
            given = scores.gather(1, torch.from_numpy(at)).masked_fill(~inside, -1e9)
            loss = torch.nn.functional.kl_div(
                given.log_softmax(1), wanted.masked_fill(~inside, -1e9).softmax(1), reduction="batchmean"
            )
        slopes = torch.autograd.grad(loss, list(self._weights.values()))
        self._adam.step([slope.numpy() for slope in slopes])
        return float(loss.detach())

    def _drawn(self, pairs: Ints) -> Ints:
        """Columns of the hard negatives that are drawn for each pair, int64 [b, n]; missing ones come last."""
        keys = self._random.random(self._examples.negatives[pairs].shape)
        keys[self._examples.negatives[pairs] < 0] = 2.0
        drawn: Ints = np.argsort(keys, axis=1)[:, : self._n_negatives]
        return drawn

    def _scores(self, rows: Ints, documents: Ints) -> torch.Tensor:
        """Late-interaction scores of questions with passages, float32 [b, m]."""
        import torch

        asked = self._queries.take(rows)
        vectors = torch.from_numpy(asked.vectors.astype(np.float32))
        own = forward(self._weights, vectors)
        tokens = self._passages.take(documents)
        x = torch.from_numpy(tokens.vectors.astype(np.float32))
        best = self._best(own.detach(), x, tokens.ends)  # [tokens of questions, m]
        used, inverse = torch.unique(best, return_inverse=True)
        matched = forward(self._weights, x[used])
        products = (own @ matched.T).gather(1, inverse)
        lengths = torch.from_numpy(np.diff(asked.ends))
        owner = torch.repeat_interleave(torch.arange(len(rows)), lengths)
        sums = torch.zeros(len(rows), len(documents)).index_add(0, owner, products)
        return sums / lengths[:, None]

    def _best(self, own: torch.Tensor, x: torch.Tensor, ends: Ints) -> torch.Tensor:
        """For each token of the questions and each passage its best token, int64 [tokens, m]: rows of x."""
        import torch

        with torch.no_grad():
            lengths = np.diff(ends)
            offsets = np.minimum(np.arange(int(lengths.max())), lengths[:, None] - 1)  # a short one repeats its last
            made = forward(self._weights, x)[torch.from_numpy(ends[:-1, None] + offsets)]  # [m, longest, width]
            best = torch.empty((len(own), len(lengths)), dtype=torch.int64)
            step = max(1, _BLOCK // offsets.size)
            for first in range(0, len(own), step):
                products = own[first : first + step] @ made.flatten(0, 1).T
                best[first : first + step] = products.view(len(products), *offsets.shape).argmax(dim=2)
            return best.clamp(max=torch.from_numpy(lengths - 1)) + torch.from_numpy(ends[:-1])
