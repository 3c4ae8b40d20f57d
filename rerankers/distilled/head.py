"""A head on frozen vectors that learns a teacher's order of candidates."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag.candidates import Bools, Floats, Ints, Vectors

if TYPE_CHECKING:
    import torch

    from rag.progress import Progress

__all__ = ["Head", "Lists", "Loss", "learn_head", "teaching_loss"]

Loss = Literal["pld", "listwise", "margin_mse"]
"""``pld``: likelihood of the ranking that has the relevant documents first and then the teacher's order (Plackett-Luce
distillation, arXiv 2506.12542), each place weighted by the teacher's softmax. ``listwise``: cross-entropy to that
softmax (ListNet). ``margin_mse``: squared differences of margins (Hofstaetter et al. 2020)."""

_HELD_OUT = 0.15
_PATIENCE = 8
_QUERIES_PER_STEP = 16
_FIRST_SCALE = 20.0
"""What cosines are multiplied by before anything is learned."""


@dataclass(frozen=True)
class Lists:
    """Candidates of queries as a teacher scored them.

    Args:
        queries: Vectors of the queries, of length 1, float32 [n, d].
        passages: Vectors of their candidates, of length 1, float32 [n, k, d].
        teacher: The teacher's scores, float32 [n, k].
        relevant: Candidates judged relevant, bool [n, k].
        mask: Where there is a candidate, bool [n, k].
    """

    queries: Vectors
    passages: Vectors
    teacher: Floats
    relevant: Bools
    mask: Bools

    def rows(self, rows: Ints) -> Lists:
        """The lists of some queries."""
        return Lists(self.queries[rows], self.passages[rows], self.teacher[rows], self.relevant[rows], self.mask[rows])


@dataclass(frozen=True)
class Head:
    """``scale * cos(q, p) + (q left) . (p right)``: an inner product, so it costs as much as the frozen vectors' own.

    Args:
        scale: Weight of the cosine.
        left: Map of queries, float32 [d, rank].
        right: Map of passages, float32 [d, rank].
    """

    scale: float
    left: Vectors
    right: Vectors

    def of_queries(self, vectors: Vectors) -> Vectors:
        """Vectors whose inner products with those of passages are scores, float32 [n, d + rank]."""
        return np.concatenate([np.float32(self.scale) * vectors, vectors @ self.left], axis=1)

    def of_passages(self, vectors: Vectors) -> Vectors:
        """Vectors of passages, float32 [n, d + rank]."""
        return np.concatenate([vectors, vectors @ self.right], axis=1)


def learn_head(
    lists: Lists, *, loss: Loss, rank: int, epochs: int, learning_rate: float, seed: int, progress: Progress
) -> tuple[Head, list[float]]:
    """The head with the least loss on queries held out, and that loss after every epoch, the untrained head's first.

    Args:
        lists: What the teacher said.
        loss: How the student is compared with it.
        rank: Dimensions of the learned part.
        epochs: Passes over the queries, at most.
        learning_rate: Learning rate of AdamW.
        seed: Seed of the split and of the first values.
        progress: Shows progress.
    """
    import torch

    rng = np.random.default_rng(seed)
    order, d = rng.permutation(len(lists.queries)), lists.queries.shape[1]
    n_held = max(1, int(len(order) * _HELD_OUT))
    train, held = order[n_held:], lists.rows(order[:n_held])
    parameters: dict[str, Any] = {
        "scale": torch.tensor(np.log(_FIRST_SCALE), dtype=torch.float32),
        "left": torch.from_numpy(rng.normal(size=(d, rank)).astype(np.float32)),
        "right": torch.zeros((d, rank), dtype=torch.float32),
    }
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters.values(), lr=learning_rate, weight_decay=0.01)

    def of(some: Lists) -> torch.Tensor:
        queries, passages = torch.from_numpy(some.queries), torch.from_numpy(some.passages)
        cosines = torch.einsum("nd,nkd->nk", queries, passages)
        learned = torch.einsum("nr,nkr->nk", queries @ parameters["left"], passages @ parameters["right"])
        return teaching_loss(loss, parameters["scale"].exp() * cosines + learned, some)

    losses, best, waited = [], copy.deepcopy(parameters), 0
    with progress("learning (distilled)", epochs) as advance:
        for epoch in range(epochs + 1):
            with torch.no_grad():
                losses.append(float(of(held)))
            waited += 1
            if losses[-1] <= min(losses):
                best, waited = copy.deepcopy(parameters), 0
            if epoch == epochs or waited > _PATIENCE:
                break
            shuffled = rng.permutation(train)
            for first in range(0, len(shuffled), _QUERIES_PER_STEP):
                optimizer.zero_grad()
                step: Any = of(lists.rows(shuffled[first : first + _QUERIES_PER_STEP]))
                step.backward()
                optimizer.step()
            advance(1)
    scale, left, right = (best[name].detach().numpy() for name in ("scale", "left", "right"))
    return Head(float(np.exp(scale)), left, right), losses


def teaching_loss(loss: Loss, scores: torch.Tensor, lists: Lists) -> torch.Tensor:
    """The mean loss over queries, of the student's scores [n, k] against the teacher's."""
    import torch

    mask = torch.from_numpy(lists.mask)
    teacher = torch.from_numpy(lists.teacher).masked_fill(~mask, float("-inf"))
    if loss == "margin_mse":
        # The mean of squared differences of margins over all pairs is twice the variance of the difference.
        n = mask.sum(dim=1, keepdim=True)
        off = torch.where(mask, scores - torch.where(mask, teacher, scores), 0)
        off = torch.where(mask, off - off.sum(dim=1, keepdim=True) / n, 0)
        return (2 * (off**2).sum(dim=1, keepdim=True) / n).mean()
    weights = torch.softmax(teacher, dim=1)
    scores = scores.masked_fill(~mask, float("-inf"))
    if loss == "listwise":
        logs = torch.where(mask, torch.log_softmax(scores, dim=1), 0)
        return -(weights * logs).sum(dim=1).mean()
    relevant = torch.from_numpy(lists.relevant) & mask
    order = torch.argsort(teacher + torch.where(relevant, 1e6, 0.0).to(teacher.dtype), dim=1, descending=True)
    ranked, weights = scores.gather(1, order), weights.gather(1, order)
    # The chance that a place goes to its document, among those that are left.
    left = torch.logcumsumexp(ranked.flip(1), dim=1).flip(1)
    logs = torch.where(mask.gather(1, order), ranked - left, 0)
    return -(weights * logs).sum(dim=1).mean()
