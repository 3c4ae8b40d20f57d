"""Learning to rank as a stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.component import Tunable
from rag.errors import NotFittedError
from rag.learning.gains import Gains
from rag.learning.reports import ReportsLearning
from rag.learning.unseen import N_FOLDS, LeaveOut
from rag.rerankers.learned_rank.gather import Gathered, Gatherer
from rag.rerankers.learned_rank.learning import Choice, Learned, Option, dependence, learn, ranked, used
from rag.rerankers.learned_rank.model import Kind, RankModel
from rag.stage import Retriever, Stage
from rag.step import Step

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["LearnedRank"]

_SHOWN = 5
"""Features named in an explanation."""

_GROUP = 0.2
"""Share of the training queries that share no relevant document with another, from which on they are a group that
memory must not harm: below, as with links between pages, it is right for nearly all, and nobody can tell the rest.
"""


class LearnedRank(Stage, ReportsLearning):
    """Ranks what all lists found by a model learned from judged questions.

    Candidates are the union of the heads of all lists: of the retriever and its parts, of the stages before, and of
    ``sources``. Each list says of each candidate its score, the score scaled over the list, in standard deviations, and
    the rank; retrievers add what they know (a dense one the cosines of all candidates with the query and with the first
    documents, a memory what was right for like questions). Training queries are answered as if they had never been
    judged. The model is used only if it wins, by more than a standard error, on dev queries (or, where there are none,
    on training queries that it has not seen) against the list as it came, and memory only if it wins against the model
    without: documents that were right once are right again in one collection and never in another.

    Args:
        sources: Retrievers asked beside the pipeline's own: ``feedback`` and ``query_memory``, which without arguments
            take the pipeline's retriever and its embedder.
        model: ``linear_listwise``: a weighted sum, with softmax cross-entropy over each query's candidates;
            ``lambdamart``: boosted trees, which may only rise with scores (needs the extra ``ltr``); ``mean`` of both,
            never far from the better one.
        fields: Number fields of the documents' metadata, such as a date or clicks, taken as features.
        depth: Candidates from each list.
        max_queries: Training queries learned from, at most, drawn at random; a memory has them all. More hardly help.
        leave_out: What is hidden from a training query beside its own judgments: those of ``duplicates``, or also
            those of questions that share a relevant one of the ``documents`` with it: for collections whose test
            questions never do.
        guard: Whether to leave out parts that do not win. False takes the richest model.
        top_k: Documents returned.
    """

    type = "learned_rank"
    needs = frozenset({"training", "candidates"})
    libraries = ("scipy",)
    _state_version = 2  # who is ranked without memory

    def __init__(
        self,
        *,
        sources: Sequence[Retriever] = (),
        model: Annotated[Kind, Tunable(choices=("linear_listwise", "mean"), gain=0.006)] = "linear_listwise",
        fields: Sequence[str] = (),
        depth: Annotated[int, Field(ge=1), Tunable(choices=(30, 60, 100), gain=0.002)] = 60,
        max_queries: Annotated[int, Field(ge=1)] = 600,
        leave_out: LeaveOut = "duplicates",
        guard: bool = True,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.sources = list(sources)
        self.model: Kind = model
        self.fields = list(fields)
        self.depth = depth
        self.max_queries = max_queries
        self.leave_out: LeaveOut = leave_out
        self.guard = guard
        self.top_k = top_k
        self._gatherer: Gatherer | None = None
        self._learned: Learned | None = None
        self._choice: Choice | None = None
        self._about: dict[str, Any] = {}

    # -- life -------------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._gatherer = self._new_gatherer(context)
        self._gatherer.check()
        assert context.training is not None
        batch, candidates = context.training_run(self.leave_out)
        rows = self._drawn(batch, context)
        batch, candidates = batch.view(rows=rows), candidates.rows(rows)
        assert batch.unseen is not None
        gains = Gains(batch.queries, context.training.qrels, context.corpus)
        train = self._learning(batch, candidates)
        dev = None
        run = context.dev_run() if self.guard else None
        if run is not None and context.training.dev is not None:
            others = Gains(run[0].queries, context.training.dev.qrels, context.corpus)
            dev = self._learning(*run), others
        strangers = None
        if self.guard and train.akin.any() and _share_of_strangers(context) >= _GROUP:
            again, results = context.training_run("documents")
            strangers = self._learning(again.view(rows=rows), results.rows(rows))
        folds = batch.unseen.folds
        self._learned, self._choice = learn(
            train, gains, folds, dev, strangers=strangers, kind=self.model, guarded=self.guard, seed=context.seed
        )
        per_query = float(train.candidates.counts.mean()) if len(batch) else 0.0
        self._about = {"queries": len(batch), "candidates": per_query, "missing": gains.missing}
        if self._learned is not None:
            self._about["dependence"] = dependence(self._learned, train)

    def _drawn(self, batch: QueryBatch, context: FitContext) -> Ints:
        """Training queries with something relevant, at most so many, in their order."""
        assert context.training is not None
        judged = context.training.qrels
        useful = [
            row for row, query in enumerate(batch.queries) if any(g > 0 for g in judged.get(query.id, {}).values())
        ]
        chosen = np.random.default_rng(context.seed).permutation(len(useful))[: self.max_queries]
        return np.sort(np.array(useful, dtype=np.int64)[chosen])

    def _new_gatherer(self, context: FitContext) -> Gatherer:
        return Gatherer(context.first, self.sources, self.fields, self.depth, context.passages)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        super().update(context, kept)
        self._gatherer = self._new_gatherer(context)

    def save_state(self, folder: Path) -> None:
        if self._choice is None:
            raise NotFittedError.of(self)
        state: dict[str, Any] = {"choice": asdict(self._choice), "about": self._about}
        if self._learned is not None:
            state["with_memory"] = self._learned.with_memory
            state["level"] = self._learned.level
            state["otherwise"] = self._learned.otherwise is not None
            for name, learned in (("model", self._learned), ("otherwise", self._learned.otherwise)):
                for n, model in enumerate([learned.model, *learned.folds] if learned is not None else []):
                    model.save(folder, f"{name}-{n}")
        (folder / "learned.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._gatherer = self._new_gatherer(context)
        state = json.loads((Path(folder) / "learned.json").read_text(encoding="utf-8"))
        options = tuple(Option(**option) for option in state["choice"].pop("options"))
        self._choice, self._about = Choice(options, **state["choice"]), state["about"]
        self._learned = None
        if "with_memory" in state:
            otherwise = _loaded(Path(folder), "otherwise") if state.get("otherwise") else None
            whole = _loaded(Path(folder), "model")
            level = state.get("level", 0.0)
            self._learned = replace(whole, with_memory=state["with_memory"], level=level, otherwise=otherwise)

    # -- asking -----------------------------------------------------------------------------------------------------

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        if self._choice is None:
            raise NotFittedError.of(self)
        learned = self._learned
        if learned is None or not len(batch):
            return candidates.head(self.top_k)
        gathered = self._gathered(batch, candidates)
        if not gathered.candidates.documents.size:
            return candidates.head(self.top_k)
        ranking = ranked(learned, gathered)
        if batch.unseen is not None:
            ranking = self._outside(batch, gathered, learned, ranking)
        has_list = candidates.counts > 0  # a query that came without any list, such as one nobody may ask, gets none
        if not has_list.all():
            ranking = ranking.rescored(np.where(has_list[:, None], ranking.scores, np.float32(-np.inf)))
        ranking = ranking.head(self.top_k)
        if batch.trace is not None:
            batch.record(batch.step.name, ranking, lambda places: self._reasons(learned, gathered, ranking, places))
        return ranking

    def _outside(self, batch: QueryBatch, gathered: Gathered, learned: Learned, ranking: Candidates) -> Candidates:
        """Training queries, each ranked by the model that has not seen it."""
        assert batch.unseen is not None
        for fold in range(N_FOLDS):
            ranking = ranked(learned, gathered, fold).where(batch.unseen.folds == fold, ranking)
        return ranking

    def _gathered(self, batch: QueryBatch, candidates: Candidates) -> Gathered:
        assert self._gatherer is not None
        return self._gatherer(batch, candidates)

    def _learning(self, batch: QueryBatch, candidates: Candidates) -> Gathered:
        # While it is fitted, it stands nowhere yet.
        return self._gathered(batch.view(step=Step.named("learned_rank")), candidates)

    def _reasons(
        self, learned: Learned, gathered: Gathered, ranking: Candidates, places: tuple[Ints, Ints]
    ) -> list[str]:
        """The features that decided about documents at (rows, columns) of the ranking."""
        rows, columns = places
        silent = ~learned.applies(gathered)[rows]
        if silent.any():
            told = np.full(len(rows), "as it came: no memory says anything", dtype=object)
            for part, model in ((~silent, learned), (silent, learned.otherwise)):
                if model is not None and part.any():
                    told[part] = self._reasons(model, gathered, ranking, (rows[part], columns[part]))
            return list(told)
        features, _ = used(gathered, learned.with_memory)
        documents = ranking.documents[rows, columns]
        mask = np.zeros(gathered.candidates.documents.shape, dtype=bool)
        column = (gathered.candidates.documents[rows] == documents[:, None]).argmax(axis=1)
        mask[rows, column] = True
        parts = learned.model.contributions(features, mask)
        row = np.cumsum(mask.ravel()).reshape(mask.shape)[rows, column] - 1
        texts = []
        for part in parts[row]:
            order = np.argsort(-np.abs(part), kind="stable")[:_SHOWN]
            texts.append(", ".join(f"{learned.model.names[n]} {part[n]:+.2f}" for n in order.tolist()))
        return texts

    # -- telling ----------------------------------------------------------------------------------------------------

    @property
    def choice(self) -> Choice | None:
        """The options compared in fitting, and the chosen one."""
        return self._choice

    @property
    def importances(self) -> Mapping[str, float]:
        """Share of each feature in what decides, largest first; empty where the list stays as it came."""
        return {} if self._learned is None else self._learned.model.importances()

    def learned_report(self) -> Mapping[str, Any]:
        """Options and choice, features by importance, and the change of the score with the most important features."""
        if self._choice is None:
            return {}
        return asdict(self._choice) | {
            "importances": dict(self.importances),
            "dependence": self._about.get("dependence", {}),
            "training": {name: value for name, value in self._about.items() if name != "dependence"},
        }

    def notes(self) -> tuple[str, ...]:
        choice = self._choice
        if choice is None:
            return ()
        if choice.why:
            return (f"learned_rank leaves lists as they come: {choice.why}",)
        told = ", ".join(
            f"{option.name} {option.quality:.4f}" + (f" ({option.gain:+.4f} ± {option.error:.4f})" if n else "")
            for n, option in enumerate(choice.options)
        )
        told += "".join(
            f"; of {option.strangers[0]:,} training queries, asked as if none that shares a relevant document had been "
            f"judged, {option.strangers[1]:+.4f} ± {option.strangers[2]:.4f}"
            for option in choice.options
            if option.strangers is not None
        )
        left = "" if choice.chosen == choice.options[-1].name else "; what does not win by a standard error is left out"
        return (f"learned_rank ranks '{choice.chosen}', by nDCG@10 on {choice.on}: {told}{left}",)


def _share_of_strangers(context: FitContext) -> float:
    """Share of training queries that have no relevant document in common with a different question."""
    alike, sharing = (np.diff(context.unseen(kind).hidden.indptr) for kind in ("duplicates", "documents"))
    return float((sharing == alike).mean())


def _loaded(folder: Path, name: str) -> Learned:
    models = [RankModel.load(folder, f"{name}-{n}") for n in range(N_FOLDS + 1)]
    return Learned(models[0], tuple(models[1:]), with_memory=False)
