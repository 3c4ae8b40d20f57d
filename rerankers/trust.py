"""Whether a scorer is worth asking where no question is judged: it has to know passages by words of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.batch import QueryBatch
from rag.types import Query

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.rerankers.base import Scorer

__all__ = ["Trust", "trust_in"]

_PASSAGES, _NEIGHBORS = 40, 20
"""Passages asked for, and first-stage candidates scored for each: 800 scorer calls."""

_NEEDED = 0.65
"""Share of the passages that a scorer has to put above all these candidates: scorers that spoil a list (overlap with
titles, a random projection of words) had .13 to .43, and .65 is three standard errors above.
"""

_FEWEST = 10
"""Passages that must be among the first stage's candidates, for a share to mean anything."""

_SHORTEST, _LONGEST, _SEEN = 10, 50, 500
"""Characters of the words asked with: a third of the passage, within the first two, out of its first 500, which every
model sees. Of passages below three times the least none is asked for.
"""


@dataclass(frozen=True)
class Trust:
    """What a scorer makes of passages that are asked for by words of theirs.

    Args:
        share: Share of the passages that it puts above all other candidates of the first stage.
        asked: Passages it was asked for; too few leave the question open.
    """

    share: float
    asked: int

    @property
    def is_open(self) -> bool:
        """Whether there were too few passages to tell."""
        return self.asked < _FEWEST

    @property
    def is_enough(self) -> bool:
        """Whether the scorer did well enough to have a say."""
        return not self.is_open and self.share >= _NEEDED

    def __str__(self) -> str:
        if self.is_open:
            return f"{self.asked} passages to try it on are too few"
        verdict = "" if self.is_enough else f", and {_NEEDED:g} is needed to have a say: it is not called"
        return (
            f"asked for {self.asked} passages by some of their words, it puts {self.share:.2f} of them above all other "
            f"candidates{verdict}"
        )


def trust_in(scorer: Scorer, context: FitContext) -> Trust:
    """Ask the steps before and a scorer for passages by a few words out of their middle.

    A first stage finds nearly all of these, so whether a scorer does as well says little, and that it fails says much:
    what does not know a passage by its own words does not know an answer to a question either.

    Args:
        scorer: A fitted scorer.
        context: Context of the stage that calls it.
    """
    passages = context.passages
    lengths = passages.end - passages.start
    rng = np.random.default_rng(context.seed)
    own = rng.permutation(np.flatnonzero(lengths >= 3 * _SHORTEST))[:_PASSAGES]
    if len(own) < _FEWEST:
        return Trust(0.0, len(own))
    texts = [_words_of(text, rng) for text in passages.texts(own)]
    run = context.run_of([Query(f"passage {n}", text) for n, text in enumerate(texts)])
    if run is None:
        return Trust(0.0, 0)
    batch, candidates = run
    batch = QueryBatch(batch.queries, store=batch.store, ledger=context.ledger)
    head = candidates.head(_NEIGHBORS)
    is_own = head.mask & (head.documents == passages.document[own][:, None])
    told = is_own.any(axis=1) & (head.counts > 1)
    rows, columns = np.nonzero(head.mask & told[:, None])
    scores = np.full(head.scores.shape, -np.inf, dtype=np.float32)
    scores[rows, columns] = scorer.score(batch, rows, head.passages[rows, columns])
    mine = np.where(is_own, scores, -np.inf).max(axis=1, initial=-np.inf)
    others = np.where(is_own, -np.inf, scores).max(axis=1, initial=-np.inf)
    n = int(told.sum())
    return Trust(float((mine > others)[told].mean()) if n else 0.0, n)


def _words_of(text: str, rng: np.random.Generator) -> str:
    """Some words from behind the first quarter of a text, where no title is; letters where there are no spaces."""
    text = text[:_SEEN]
    size = min(max(len(text) // 3, _SHORTEST), _LONGEST)
    first = int(rng.integers(len(text) // 4, max(len(text) - size, len(text) // 4) + 1))
    start = text.find(" ", first, first + size) + 1 or first
    end = text.find(" ", start + size, start + 2 * size)
    return text[start : end if end >= 0 else start + size].strip()
