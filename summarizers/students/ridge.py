"""A student with a linear map, in closed form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Later
from rag.errors import NotFittedError
from rag.progress import Progress
from rag.summarizers.students.base import Conversations, Student, unit
from rag.summarizers.students.losses import Loss, held_out_loss
from rag.summarizers.students.words import TurnWords

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Ridge"]

logger = logging.getLogger("rag.summarizers")


class Ridge(Student):
    """Ridge regression from four frozen embeddings to the summary's: the asking turn, the other speaker's last turn,
    the same speaker's previous turn, and the mean over the conversation.

    With ``words``, those of the asking turn and of the other speaker's last turn are features beside them: embeddings
    of sentences blur names and numbers, which summaries repeat.

    Every turn is embedded by itself, so a conversation costs its number of tokens. The penalty is chosen by
    cross-validation over folds of neighbors, which keeps turns of one dialogue together if they are adjacent in the
    corpus.

    Args:
        penalties: Penalties to try, on the squared weights; features and targets have about length 1.
        folds: Number of cross-validation folds.
        loss: Held-out loss that the penalty minimizes: ``info_nce`` (separating the matching summary from others),
            ``cosine`` or ``mse``.
        words: Number of the most frequent words of the asking turn, and of the turn before it, that are features;
            0 for embeddings alone.
    """

    type = "ridge"

    def __init__(
        self,
        *,
        penalties: Annotated[Sequence[Annotated[float, Field(gt=0)]], Field(min_length=1)] = (0.01, 0.1, 0.3, 1, 3, 10),
        folds: Annotated[int, Field(ge=2)] = 3,
        loss: Loss = "info_nce",
        words: Annotated[int, Field(ge=0), Later()] = 0,
    ) -> None:
        self.penalties = penalties
        self.folds = folds
        self.loss: Loss = loss
        self.words = words
        self._words: TurnWords | None = None
        self._map: Vectors | None = None  # [features + 1, d]; the last row is the intercept
        self.penalty = 0.0
        """The chosen penalty."""

    def learn(self, conversations: Conversations, targets: Vectors, *, seed: int, progress: Progress) -> None:
        self._words = TurnWords.of(conversations.turns, self.words) if self.words else None
        features = self._features(conversations)
        penalty = self.penalties[0]
        if len(self.penalties) > 1 and len(features) >= 2 * self.folds:
            edges = np.linspace(0, len(features), self.folds + 1).astype(int)
            losses = np.zeros(len(self.penalties))
            with progress("choosing a penalty (ridge)", self.folds) as advance:
                for first, last in pairwise(edges):
                    held = np.zeros(len(features), dtype=bool)
                    held[first:last] = True
                    for index, map_ in enumerate(_maps(features[~held], targets[~held], self.penalties)):
                        losses[index] += held_out_loss(self.loss, _apply(features[held], map_), targets[held])
                    advance(1)
            penalty = self.penalties[int(losses.argmin())]
            logger.info(
                "ridge: %s by penalty %s", self.loss, dict(zip(self.penalties, losses / self.folds, strict=True))
            )
        self.penalty = penalty
        self._map = _maps(features, targets, [penalty])[0]

    def encode(self, conversations: Conversations) -> Vectors:
        if self._map is None:
            raise NotFittedError.of(self)
        return _apply(self._features(conversations), self._map)

    def _features(self, conversations: Conversations) -> Vectors:
        """Features of conversations, float32 [n, 4 d + words]."""
        said = conversations.utterances
        parts = [said.rows(said.latest), said.rows(said.reply), said.rows(said.before), said.means()]
        return np.concatenate([*parts, *([self._words(conversations.turns)] if self._words else [])], axis=1)

    def save_state(self, folder: Path) -> None:
        if self._map is not None:
            np.save(folder / "map.npy", self._map)
        if self._words is not None:
            self._words.save(folder / "words.json")

    def load_state(self, folder: Path, context: FitContext) -> None:
        if (folder / "map.npy").is_file():
            self._map = np.load(folder / "map.npy")
        if (folder / "words.json").is_file():
            self._words = TurnWords.load(folder / "words.json")


def _maps(features: Vectors, targets: Vectors, penalties: Sequence[float]) -> list[Vectors]:
    """A map for each penalty, float32 [features + 1, d], from one eigendecomposition: of the features' covariance, or
    of the pairs' products if there are fewer pairs than features.
    """
    x_mean, y_mean = features.mean(axis=0), targets.mean(axis=0)
    x, y = features - x_mean, targets - y_mean
    dual = len(x) < x.shape[1]
    values, vectors = np.linalg.eigh((x @ x.T if dual else x.T @ x).astype(np.float64))
    projected = vectors.T @ (y if dual else x.T @ y)
    maps = []
    for penalty in penalties:
        weights = vectors @ (projected / (np.maximum(values, 0.0) + penalty)[:, None])
        weights = x.T @ weights if dual else weights
        maps.append(np.concatenate([weights, [y_mean - x_mean @ weights]]).astype(np.float32))
    return maps


def _apply(features: Vectors, map: Vectors) -> Vectors:
    return unit(features @ map[:-1] + map[-1])
