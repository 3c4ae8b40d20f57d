"""A bag of small networks that predict a curve's parameters for each query; trained with torch, run with numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rag.candidates import Floats
from rag.filters.curves import Family, logits, n_parameters, stretched

__all__ = ["Bag", "Recipe", "forward", "left_out", "train"]

Size = Literal["small", "paper"]

_FOLDS = 10
_LEFT_OUT = 3
"""Tenths of the training queries held out from each network, for early stopping and for calibration."""

_HIDDEN = 64
_INPUT_DROPOUT = (0.5, 0.1)
_BATCH = 64
_EPOCHS = 100
_PATIENCE = 10
_WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class Recipe:
    """Settings of the networks.

    Args:
        family: Family of the curve.
        monotone: Whether slopes stay positive.
        size: ``small``: 64 hidden units twice beside a linear path, dropout .3; ``paper``: layer norm and 4 d hidden
            units twice, dropout .5 (Rossi et al. 2024).
        networks: Number of networks, each trained on a different part of the training queries.
        slope: Initial slope of the curve.
        offset: Initial offset: the log-odds of the share of relevant candidates, so that learning starts at the prior.
    """

    family: Family
    monotone: bool
    size: Size
    networks: int
    slope: float
    offset: float


@dataclass(frozen=True)
class Bag:
    """Networks of one recipe.

    Args:
        recipe: Settings of the networks.
        weights: Weights by name; the first axis is the network.
    """

    recipe: Recipe
    weights: Mapping[str, Floats]

    def __call__(self, features: Floats, x: Floats) -> Floats:
        """Mean logit of the networks, float32 [n, k].

        Args:
            features: Features of the queries, float32 [n, d].
            x: Scores as inputs of the curve, float32 [n, k], finite.
        """
        r = self.recipe
        raw = forward(self.weights, features)
        if r.family == "power":
            return np.asarray(
                sum(self._curve(raw_weights, x) for raw_weights in raw) / np.float32(len(raw)), dtype=np.float32
            )
        # All other curves are linear in their parameters: the mean of the curves is the curve of the means.
        unit = np.array([[0.0, 1.0]], dtype=np.float32)
        ends = np.stack([self._curve(raw_weights, unit) for raw_weights in raw]).mean(
            axis=0
        )  # at 0 and at 1, both fixed points
        a, b = ends[:, 1:] - ends[:, :1], ends[:, :1]
        return np.asarray(a * stretched(x, r.family, np) + b, dtype=np.float32)

    def _curve(self, raw: Floats, x: Floats) -> Floats:
        r = self.recipe
        curve = logits(raw, x, r.family, np, slope=r.slope, offset=r.offset, monotone=r.monotone)
        return np.asarray(curve, dtype=np.float32)


def forward(weights: Mapping[str, Any], x: Any, drop: Callable[[Any, str], Any] = lambda x, layer: x) -> Any:
    """Outputs [networks, n, parameters] of inputs [n, d] or [networks, n, d]; numpy or torch alike."""
    x = drop(x, "input")
    h = _layer_norm(x, weights, "1") if "g1" in weights else x
    h = h @ weights["w1"] + weights["b1"]
    h = drop(h * (h > 0), "hidden")
    if "g2" in weights:
        h = _layer_norm(h, weights, "2")
    h = h @ weights["w2"] + weights["b2"]
    h = drop(h * (h > 0), "hidden")
    out = h @ weights["w3"] + weights["b3"]
    return out + x @ weights["w0"] if "w0" in weights else out


def _layer_norm(x: Any, weights: Mapping[str, Any], which: str) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    scale = ((centered * centered).mean(-1, keepdims=True) + 1e-5) ** 0.5
    return centered / scale * weights["g" + which] + weights["c" + which]


def left_out(n: int, networks: int, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each network holds out each query, bool [networks, n]: three tenths, all different for ten networks."""
    fold = np.random.default_rng(seed).permutation(n) % _FOLDS
    return np.asarray((fold - np.arange(networks)[:, None]) % _FOLDS < _LEFT_OUT)


def train(
    recipe: Recipe, features: Floats, x: Floats, relevant: npt.NDArray[np.bool_], weight: Floats, seed: int
) -> tuple[Bag, npt.NDArray[np.bool_]]:
    """Train a bag by binary cross-entropy; each network stops when its held-out queries no longer improve.

    A small network is trained twice, with input dropout of a half and of a tenth, and the better one on held-out
    queries is kept: with embeddings and some hundred queries usually the first, with more informative inputs the
    second.

    Args:
        recipe: Settings of the networks.
        features: Features of the queries, float32 [n, d].
        x: Scores as inputs of the curve, float32 [n, k], finite.
        relevant: Whether each candidate is relevant, bool [n, k].
        weight: Weights of the pairs, float32 [n, k]; 0 at padding.
        seed: Seed of all random draws.

    Returns:
        The bag, and whether each network has held out each query, bool [networks, n].
    """
    import torch

    # One thread: matrices this small gain nothing from more, and sums are then equal on every machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rates = _INPUT_DROPOUT if recipe.size == "small" else (0.0,)
        learned = [_train(recipe, rate, features, x, relevant, weight, seed) for rate in rates]
    finally:
        torch.set_num_threads(threads)
    _, weights = min(learned, key=lambda run: run[0])
    return Bag(recipe, weights), left_out(len(x), recipe.networks, seed)


def _train(
    recipe: Recipe,
    input_dropout: float,
    features: Floats,
    x: Floats,
    relevant: npt.NDArray[np.bool_],
    weight: Floats,
    seed: int,
) -> tuple[float, dict[str, Floats]]:
    """The lowest held-out loss, averaged over the networks, and its weights."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    outside = left_out(len(x), recipe.networks, seed)
    rates = {"input": input_dropout, "hidden": 0.3 if recipe.size == "small" else 0.5}
    inputs = (features, x, relevant, weight)
    f, t, y, w = (torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in inputs)
    weights = _initial(recipe, f.shape[1], generator)
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, weight_decay=_WEIGHT_DECAY)

    def drop(h: Any, layer: str) -> Any:
        # One mask for all networks: they see different queries, and drawing numbers takes half of the time.
        rate = rates[layer]
        return h * ((torch.rand(h.shape[1:], generator=generator) >= rate) / (1 - rate)) if rate else h

    def loss(rows: Any, dropped: Callable[[Any, str], Any]) -> Any:
        """Mean cross-entropy per pair of each network on its rows [networks, m]."""
        raw = forward(weights, f[rows], dropped)
        r = recipe
        z = logits(raw, t[rows], r.family, torch, slope=r.slope, offset=r.offset, monotone=r.monotone)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(z, y[rows], weight=w[rows], reduction="none")
        return losses.sum((1, 2)) / w[rows].sum((1, 2)).clamp(min=1e-9)

    seen = _rows(~outside)
    unseen = torch.from_numpy(_rows(outside))
    best = torch.full((recipe.networks,), torch.inf)
    best_weights = {name: value.detach().clone() for name, value in weights.items()}
    worse = torch.zeros(recipe.networks)
    for _ in range(_EPOCHS):
        order = torch.rand(seen.shape, generator=generator).argsort(dim=1)
        shuffled = torch.from_numpy(seen).gather(1, order)
        for first in range(0, seen.shape[1], _BATCH):
            optimizer.zero_grad()
            loss(shuffled[:, first : first + _BATCH], drop).sum().backward()
            optimizer.step()
        with torch.no_grad():
            now = loss(unseen, lambda h, layer: h)
            better = now < best
            best = torch.where(better, now, best)
            worse = torch.where(better, torch.zeros_like(worse), worse + 1)
            for name, value in weights.items():
                best_weights[name][better] = value[better]
        if bool((worse >= _PATIENCE).all()):
            break
    return float(best.mean()), {name: value.numpy() for name, value in best_weights.items()}


def _rows(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Indices of true entries in each row, int64 [networks, m]; of rows with more, the first m."""
    m = int(which.sum(axis=1).min())
    return np.stack([np.flatnonzero(line)[:m] for line in which])


def _initial(recipe: Recipe, d: int, generator: Any) -> dict[str, Any]:
    """Uniform within 1 / sqrt(inputs), as torch's Linear; the last layer near 0, so that every curve starts alike."""
    import torch

    hidden = _HIDDEN if recipe.size == "small" else 4 * d
    outputs = n_parameters(recipe.family)
    bags = recipe.networks

    def uniform(i: int, o: int, scale: float = 1.0) -> Any:
        return (torch.rand(bags, i, o, generator=generator) * 2 - 1) * scale / i**0.5

    weights = {
        "w1": uniform(d, hidden),
        "b1": torch.zeros(bags, 1, hidden),
        "w2": uniform(hidden, hidden),
        "b2": torch.zeros(bags, 1, hidden),
        "w3": uniform(hidden, outputs, 0.1),
        "b3": torch.zeros(bags, 1, outputs),
    }
    if recipe.size == "small":
        weights["w0"] = torch.zeros(bags, d, outputs)
    else:
        for which, size in (("1", d), ("2", hidden)):
            weights["g" + which] = torch.ones(bags, 1, size)
            weights["c" + which] = torch.zeros(bags, 1, size)
    return {name: value.requires_grad_() for name, value in weights.items()}
