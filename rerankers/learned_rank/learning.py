"""Fitting a ranking model, and deciding whether it may be used."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rag.candidates import Bools, Candidates, Floats, Ints
from rag.learning.features import Features
from rag.learning.gains import Gains, paired_gain
from rag.learning.unseen import N_FOLDS
from rag.rerankers.learned_rank.gather import Gathered
from rag.rerankers.learned_rank.model import Kind, Lists, RankModel, fit_model, tuned_l2

__all__ = ["MIN_QUERIES", "Choice", "Learned", "Option", "dependence", "learn", "ranked", "used"]

MIN_QUERIES = 20
"""Training queries with a relevant candidate and another, below which nothing is learned."""

_LEVELS = (0.0, 0.9, 0.95, 0.98)
"""Probabilities of sharing a relevant document with a judged question from which on memory may be used."""

_NOTHING = 0.004
"""Mean nDCG@10 that strangers may lose: a few of a thousand questions that look like judged ones, and are not."""


@dataclass(frozen=True)
class Option:
    """One of the ways to rank that were compared.

    Args:
        name: ``as it came``, ``without memory`` or ``with memory``.
        quality: Mean nDCG@10 on queries it has not seen.
        gain: Mean difference to the best of the simpler ones; 0 for the simplest.
        error: Standard error of that.
        strangers: Of memory: training queries asked as if none that shares a relevant document had been judged, their
            mean difference to the same simpler way, and its standard error.
    """

    name: str
    quality: float
    gain: float = 0.0
    error: float = 0.0
    strangers: tuple[int, float, float] | None = None


@dataclass(frozen=True)
class Choice:
    """The chosen option, and the reasons.

    Args:
        options: From simple to rich; each richer one has to win by more than one standard error.
        chosen: Name of the one that is used.
        on: Data of the choice, in words.
        why: Reason if nothing could be compared.
    """

    options: tuple[Option, ...]
    chosen: str
    on: str
    why: str = ""


@dataclass(frozen=True)
class Learned:
    """A model and its twins, each trained without one part of the training queries.

    Args:
        model: Fitted on all training queries.
        folds: Model for each part of them, fitted on the others.
        with_memory: Whether candidates and features that come from judgments are used.
        level: Probability of sharing a relevant document with a judged question from which on memory is used.
        otherwise: What ranks the queries below it; None leaves them as they came.
    """

    model: RankModel
    folds: tuple[RankModel, ...]
    with_memory: bool
    level: float = 0.0
    otherwise: Learned | None = None

    def applies(self, gathered: Gathered) -> Bools:
        """Which queries it ranks itself, bool [n]."""
        return (gathered.akin > 0) & (gathered.akin >= self.level) | (not self.with_memory)


def learn(
    train: Gathered,
    gains: Gains,
    folds: Ints,
    dev: tuple[Gathered, Gains] | None,
    *,
    strangers: Gathered | None = None,
    kind: Kind,
    guarded: bool,
    seed: int,
) -> tuple[Learned | None, Choice]:
    """Fit a model with and one without memory, and choose between them and the list as it came. One with memory is of
    the queries that a memory says something of; the others are ranked by the best of the simpler ways.

    Args:
        train: The training queries, as if none had been judged.
        gains: Their judgments.
        folds: The part that each belongs to, int64 [n].
        dev: Other queries to choose with; None has the parts answer for each other.
        strangers: The training queries once more, as if none that shares a relevant document had been judged; None
            where nothing remembers.
        kind: Kind of model.
        guarded: Whether to choose; if not, the richest is used.
        seed: Seed of all random parts.
    """
    on = (
        f"{len(dev[0].candidates):,} dev queries"
        if dev
        else f"{len(folds):,} training queries, each by a model of others"
    )
    options: list[_Compared] = []
    came = gains.ndcg(train.first)
    options.append(_Compared("as it came", None, dev[1].ndcg(dev[0].first) if dev else came, came))
    mine = _lists(train, gains, False)
    if mine.n_useful < MIN_QUERIES:
        few = f"{mine.n_useful} of {len(folds)} training queries have a relevant candidate and another"
        few = few if len(folds) else "no training query has a relevant document"
        return None, Choice((), "as it came", on, f"{few}, and {MIN_QUERIES} are needed to learn from")
    others = _lists(*dev, False) if dev else None
    learned, outside = _fit(mine, folds, others, kind, False, seed)
    unseen = gains.ndcg(_ranked(outside, train, False))
    quality = dev[1].ndcg(ranked(learned, dev[0])) if dev else unseen
    options.append(_Compared("without memory", learned, quality, unseen))
    simpler = options[_best(options, dev is not None)] if guarded else options[-1]
    remembering = _remembering(train, gains, folds, dev, strangers, simpler, kind, seed)
    options += [] if remembering is None else [remembering]
    return _chosen(options, on, guarded, dev is not None)


def _remembering(
    train: Gathered,
    gains: Gains,
    folds: Ints,
    dev: tuple[Gathered, Gains] | None,
    strangers: Gathered | None,
    simpler: _Compared,
    kind: Kind,
    seed: int,
) -> _Compared | None:
    """A model with memory of the queries that one says something of, and the best simpler way for the others; None
    where these queries are too few to learn from.
    """
    heard = train.akin > 0
    mine = _lists(train, gains, True).rows(heard)
    if mine.n_useful < MIN_QUERIES:
        return None
    others = _lists(*dev, True).rows(dev[0].akin > 0) if dev else None
    learned, outside = _fit(mine, folds[heard], others if others and others.n_useful else None, kind, True, seed)
    learned = replace(learned, otherwise=simpler.learned)
    told = None
    if strangers is not None:
        loss = _outside(learned, strangers, gains, folds) - simpler.outside
        level = _level(loss, strangers.akin)
        learned = replace(learned, level=level)
        told = len(loss), *paired_gain(np.where(learned.applies(strangers), loss, 0), np.zeros_like(loss))
    scores = np.zeros(train.candidates.documents.shape, dtype=np.float32)
    scores[heard] = outside
    unseen = np.where(learned.applies(train), gains.ndcg(_ranked(scores, train, True)), simpler.outside)
    quality = dev[1].ndcg(ranked(learned, dev[0])) if dev else unseen
    return _Compared("with memory", learned, quality, unseen, told)


def _level(loss: Floats, akin: Floats) -> float:
    """The lowest level from which on memory costs strangers no more than a standard error, or next to nothing."""
    for level in _LEVELS:
        gain, error = paired_gain(np.where(akin >= max(level, 1e-9), loss, 0), np.zeros_like(loss))
        if gain >= -max(error, _NOTHING):
            return level
    return _LEVELS[-1]


def _outside(learned: Learned, gathered: Gathered, gains: Gains, folds: Ints) -> Floats:
    """nDCG@10 of each training query by the model with memory that has not seen it, float64 [n]."""
    scores: Floats = np.zeros(len(folds), dtype=np.float32)
    features, mask = used(gathered, learned.with_memory)
    for fold, model in enumerate(learned.folds):
        quality = gains.ndcg(_ranked(model.scores(features, mask), gathered, learned.with_memory))
        scores = np.where(folds == fold, quality, scores)
    return scores


def _fit(
    mine: Lists, folds: Ints, dev: Lists | None, kind: Kind, with_memory: bool, seed: int
) -> tuple[Learned, Floats]:
    """A model of all, those of the parts, and the scores that the latter give to the queries they have not seen."""
    first = folds == 0
    l2 = tuned_l2(mine if dev else mine.rows(~first), dev or mine.rows(first)) if kind != "lambdamart" else 0.0
    parts = []
    outside = np.zeros(mine.mask.shape, dtype=np.float32)
    for fold in range(N_FOLDS):
        inside = folds == fold
        rest = mine.rows(~inside)
        held_out = mine.rows(inside)
        model = fit_model(kind, rest, held_out if held_out.n_useful else None, l2=l2, trees=None, seed=seed)
        parts.append(model)
        outside[inside] = model.scores(held_out.features, held_out.mask)
    grown = [part.trees.n_trees for part in parts if part.trees is not None]
    trees = max(round(float(np.mean(grown)) * N_FOLDS / (N_FOLDS - 1)), 1) if grown else None
    whole = fit_model(kind, mine, dev, l2=l2, trees=trees, seed=seed)
    return Learned(whole, tuple(parts), with_memory), outside


@dataclass(frozen=True)
class _Compared:
    """A way to rank, with its nDCG@10 for each query to choose by, and for each training query by a model that has not
    seen it.
    """

    name: str
    learned: Learned | None
    quality: Floats
    outside: Floats
    strangers: tuple[int, float, float] | None = None

    def gain_over(self, other: _Compared, with_dev: bool) -> tuple[float, float]:
        """Mean difference and its standard error. Without memory training queries count beside those of dev: nothing
        tells the two apart. With it they do not: only dev shows what memory is worth for questions yet to come.
        """
        mine, theirs = self.quality, other.quality
        if with_dev and self.learned is not None and not self.learned.with_memory:
            mine, theirs = np.concatenate([mine, self.outside]), np.concatenate([theirs, other.outside])
        return paired_gain(mine, theirs)


def _best(options: list[_Compared], with_dev: bool) -> int:
    """The richest option that wins over the best simpler option by more than a standard error."""
    best = 0
    for n, option in enumerate(options[1:], 1):
        gain, error = option.gain_over(options[best], with_dev)
        best = n if gain > error else best
    return best


def _chosen(options: list[_Compared], on: str, guarded: bool, with_dev: bool) -> tuple[Learned | None, Choice]:
    told = [Option(options[0].name, _mean(options[0].quality))]
    for n, option in enumerate(options[1:], 1):
        before = options[_best(options[:n], with_dev)]
        told.append(Option(option.name, _mean(option.quality), *option.gain_over(before, with_dev), option.strangers))
    chosen = options[_best(options, with_dev) if guarded else -1]
    return chosen.learned, Choice(tuple(told), chosen.name, on)


def _mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else 0.0


def _lists(gathered: Gathered, gains: Gains, with_memory: bool) -> Lists:
    features, mask = used(gathered, with_memory)
    return Lists(features, mask, gains.of(gathered.candidates))


def used(gathered: Gathered, with_memory: bool) -> tuple[Features, Bools]:
    """Features and candidates that a model with, or without, memory looks at."""
    mask = gathered.candidates.mask
    if with_memory:
        return gathered.features, mask
    columns = np.flatnonzero(~gathered.remembered)
    features = gathered.features
    values = features.values[:, :, columns]
    names = tuple(features.names[column] for column in columns.tolist())
    rising = tuple(features.rising[column] for column in columns.tolist())
    return replace(features, names=names, values=values, rising=rising), mask & gathered.plain


def ranked(learned: Learned | None, gathered: Gathered, fold: int | None = None) -> Candidates:
    """Candidates in the learned order; unchanged if nothing was learned.

    Args:
        learned: The learned models.
        gathered: The candidates.
        fold: The part of the training queries that the model must not have seen; None takes the model of all.
    """
    if learned is None:
        return gathered.first
    model = learned.model if fold is None else learned.folds[fold]
    features, mask = used(gathered, learned.with_memory)
    ranking = _ranked(model.scores(features, mask), gathered, learned.with_memory)
    mine = learned.applies(gathered)
    return ranking if mine.all() else ranking.where(mine, ranked(learned.otherwise, gathered, fold))


def _ranked(scores: Floats, gathered: Gathered, with_memory: bool) -> Candidates:
    mask = gathered.candidates.mask if with_memory else gathered.candidates.mask & gathered.plain
    return gathered.candidates.rescored(np.where(mask, scores, np.float32(-np.inf)))


def dependence(learned: Learned, train: Gathered) -> dict[str, list[list[float]]]:
    """Partial dependence (Friedman 2001) of the score on each of the most important features: (value, mean score minus
    that of all) at its deciles, over at most 500 candidates of the training queries.
    """
    features, mask = used(train, learned.with_memory)
    rows = features.take(learned.model.names).values[mask]
    rows = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)]
    whole = replace(features, names=learned.model.names, values=rows[:, None, :])
    everywhere = np.ones((len(rows), 1), dtype=bool)
    level = float(learned.model.scores(whole, everywhere).mean())
    curves = {}
    for name in list(learned.model.importances())[:_CURVES]:
        column = learned.model.names.index(name)
        finite = rows[np.isfinite(rows[:, column]), column]
        curve = []
        for value in np.unique(np.quantile(finite, np.linspace(0, 1, 11))) if len(finite) else ():
            changed = rows.copy()
            changed[:, column] = value
            score = float(learned.model.scores(replace(whole, values=changed[:, None, :]), everywhere).mean())
            curve.append([float(value), score - level])
        curves[name] = curve
    return curves


_SAMPLE, _CURVES = 500, 8
