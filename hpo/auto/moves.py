"""Changes of a pipeline's structure that may be worth it, and why some of them are not possible here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag.errors import ConfigError
from rag.hpo.auto.data import FOLDS, MIN_LEARNED, Facts
from rag.hpo.auto.opening import Opened, choice, opened
from rag.pipeline import Pipeline
from rag.registry import component_class
from rag.stage import Retriever

__all__ = ["Derived", "derive"]

_RERANKED = 50
"""Candidates that a scorer named for a pipeline without one is tried on at first."""


@dataclass
class Derived:
    """A pipeline left open wherever tuning may pay.

    Args:
        config: The pipeline with distributions; the point of all defaults is the pipeline as it was given.
        opened: Its parameters.
        left_out: Why a move is not in it, by its name.
    """

    config: dict[str, Any]
    opened: Opened
    left_out: dict[str, str] = field(default_factory=dict)


def derive(
    pipeline: Pipeline, facts: Facts, *, scorers: Sequence[dict[str, Any]] = (), encoders: Sequence[dict[str, Any]] = ()
) -> Derived:
    """Everything worth trying on a pipeline, given the data.

    Args:
        pipeline: The pipeline to tune.
        facts: Facts on the dataset.
        scorers: Configurations of scorers to rerank with.
        encoders: Configurations of embedders to take in place of each embedder.
    """
    into = Opened()
    config = opened(pipeline, "", into)
    derived = Derived(config, into)
    made = _Moves(pipeline, facts, derived)
    made.encoders(encoders)
    made.adapted()
    made.chunker()
    base = made.joined(encoders)
    config["retriever"] = made.memory(made.feedback(base), base)
    made.learned_rank(base)
    made.reranker(scorers)
    if not into.gains:
        raise ConfigError(f"nothing to tune in this pipeline ({pipeline.retriever.spec.label})")
    return derived


class _Moves:
    def __init__(self, pipeline: Pipeline, facts: Facts, derived: Derived) -> None:
        self.pipeline, self.facts, self.derived = pipeline, facts, derived
        self.parts = [part for _, part in pipeline.spec.walk()]
        self.types = {part.type for part in self.parts}
        self.embeds = any(part.kind == "embedder" for part in self.parts)
        self.moved: dict[str, Any] | None = None  # dense retrieval with adapted queries

    def _lacks(self, name: str, *tests: tuple[bool, str]) -> bool:
        """Record a move as left out, for the first reason that holds; returns whether one does."""
        reason = next((reason for fails, reason in tests if fails), None)
        if reason is not None:
            self.derived.left_out[name] = reason
        return reason is not None

    @property
    def _few(self) -> tuple[bool, str]:
        n = self.facts.n_learned
        of = f" ({FOLDS - 1} of {FOLDS} parts of the training questions)" if self.facts.split == "train" else ""
        return n < MIN_LEARNED, f"{n} training questions{of}, and {MIN_LEARNED} are needed" if n else (
            "no training questions: only test, or dev, is judged"
        )

    @property
    def _unshared(self) -> tuple[bool, str]:
        return not self.facts.shared, "no document is relevant for two training questions: nothing to remember"

    def encoders(self, encoders: Sequence[dict[str, Any]]) -> None:
        tests = ((not self.embeds, "the pipeline has no encoder"), (not encoders, "no other encoder named (--encoder)"))
        if not self._lacks("encoder", *tests):
            _replace(self.derived.config, encoders)
            self.derived.opened.add("encoder", 0.03, "encode")

    def adapted(self) -> None:
        """Query vectors moved towards the documents of judged questions."""
        there = ("adapted" in self.types, "it is there already")
        if self._lacks("adapted", there, ("dense" not in self.types, "no dense retriever"), self._few):
            return
        dense = [node for node in _nodes(self.derived.config) if node.get("type") == "dense"]
        self.moved = dense[0] | {"embedder": _adapted(dense[0]["embedder"])}
        _change(self.derived.config, lambda embedder: choice("adapted", [embedder, _adapted(embedder)], ["off", "on"]))
        self.derived.opened.add("adapted", 0.015, "learn")

    def chunker(self) -> None:
        config = self.derived.config
        if config["chunker"]["type"] not in ("none", "auto"):
            return
        sentences = {"type": "sentence", "size": 1000, "overlap": 0, "unit": "characters"}
        config["chunker"] = choice("chunker", [config["chunker"], sentences])
        self.derived.opened.add("chunker", 0.006, "encode")

    def joined(self, encoders: Sequence[dict[str, Any]]) -> Any:
        """The retriever, or a hybrid of words and vectors if it has only one of the two."""
        config, retriever = self.derived.config, self.pipeline.retriever
        other: dict[str, Any] | None = None
        if retriever.type == "dense":
            other = {"type": "bm25", "k1": 1.2, "b": 0.75}
        elif retriever.type == "bm25" and encoders:
            other = {"type": "dense", "embedder": dict(encoders[0]), "index": {"type": "flat"}}
        elif retriever.type == "bm25":
            self.derived.left_out["hybrid"] = "no encoder named (--encoder)"
        if other is None:
            return config["retriever"]
        weights: list[Any] = [1.0, {"tune": "categorical", "name": "hybrid.weight", "choices": [0.5, 1.0, 2.0, 4.0]}]
        weights[1]["default"] = 1.0
        both = [other, config["retriever"]] if retriever.type == "dense" else [config["retriever"], other]
        hybrid = {"type": "hybrid", "fusion": {"type": "min_max"}, "weights": weights, "retrievers": both}
        self.derived.opened.add("hybrid", 0.04, "search" if retriever.type == "dense" else "encode")
        self.derived.opened.add("hybrid.weight", 0.015, "search")
        return choice("hybrid", [config["retriever"], hybrid], ["off", "on"])

    def feedback(self, base: Any) -> Any:
        tests = (("feedback" in self.types, "it is there already"), _refused(self.pipeline.retriever))
        if self._lacks("feedback", *tests):
            return base
        wrapped = opened(component_class("retriever", "feedback")(), "feedback", self.derived.opened) | {"target": base}
        self.derived.opened.add("feedback", 0.02, "search")
        return choice("feedback", [base, wrapped], ["off", "on"])

    def memory(self, retriever: Any, base: Any) -> Any:
        """A memory of judged questions as a further list."""
        there = ("query_memory" in self.types, "it is there already")
        if self._lacks("memory", there, (not self.embeds, _NO_ENCODER), self._few, self._unshared):
            return retriever
        into, options, labels = self.derived.opened, [retriever], ["off"]
        weight = {"tune": "categorical", "name": "memory.weight", "choices": [0.25, 0.5, 1.0, 2.0], "default": 0.5}
        for score in ("like", "cover"):
            remembers = opened(_made("retriever", "query_memory", score=score), f"memory.{score}", into)
            if score == "cover":
                remembers["retriever"] = base
            labels.append(score)
            options.append(
                {
                    "type": "hybrid",
                    "fusion": {"type": "min_max"},
                    "weights": [1.0, weight],
                    "retrievers": [retriever, remembers],
                }
            )
        into.add("memory", 0.03, "search")
        into.add("memory.weight", 0.01, "search")
        return choice("memory", options, labels)

    def learned_rank(self, base: Any) -> None:
        if self._lacks("learned_rank", ("learned_rank" in self.types, "it is there already"), self._few):
            return
        into, stages = self.derived.opened, self.derived.config["stages"]
        config = opened(component_class("stage", "learned_rank")(), "learned_rank", into, "learn")
        if importlib.util.find_spec("lightgbm") is None:
            config["model"] = "linear_listwise"
            del into.gains["learned_rank.model"]
            self.derived.left_out["learned_rank.model"] = "models of trees need the extra 'ltr'"
        config["sources"] = []
        if not _refused(self.pipeline.retriever)[0]:
            config["sources"].append({"type": "feedback", "target": base})
        if self.moved is not None:
            config["sources"].append(self.moved)
        if self.facts.shared and self.embeds:
            config["sources"].append({"type": "query_memory"})
            config["sources"].append({"type": "query_memory", "score": "cover", "retriever": base})
        # Behind what scores, whose scores it learns from, and before what cuts or writes.
        position = 1 + max((n for n, stage in enumerate(self.pipeline.stages) if stage.type in _SCORING), default=-1)
        stages.insert(position, {"tune": "optional", "name": "learned_rank", "of": config})
        into.add("learned_rank", 0.03, "learn")

    def reranker(self, scorers: Sequence[dict[str, Any]]) -> None:
        there = any(part.kind == "scorer" for part in self.parts)
        tests = ((there, "it is there already"), (not scorers, "no scorer named (--scorer)"))
        if self._lacks("reranker", *tests):
            return
        budget = {"tune": "categorical", "name": "reranker.budget", "choices": [20, 50, 100], "default": _RERANKED}
        stage = {"type": "rerank", "budget": budget, "scorer": choice("reranker.scorer", list(scorers))}
        if len(scorers) == 1:
            stage["scorer"] = scorers[0]
        else:
            self.derived.opened.add("reranker.scorer", 0.01, "score")
        self.derived.config["stages"].insert(0, {"tune": "optional", "name": "reranker", "of": stage})
        self.derived.opened.add("reranker", 0.02, "score")
        self.derived.opened.add("reranker.budget", 0.004, "score")


_NO_ENCODER = "the pipeline has no encoder to tell which questions are alike"

_SCORING = ("rerank", "cur", "adacur", "anncur", "axn", "graph_adaptive")


def _made(kind: str, name: str, **arguments: Any) -> Any:
    made: Any = component_class(kind, name)
    return made(**arguments)


def _refused(retriever: Retriever) -> tuple[bool, str]:
    """Reason why feedback cannot search again with this retriever, if any."""
    try:
        _made("retriever", "feedback", target=retriever)
    except ConfigError as error:
        return True, error.mistakes[0].message
    return False, ""


def _adapted(embedder: Any) -> dict[str, Any]:
    return {"type": "adapted", "embedder": embedder}


def _replace(config: Any, encoders: Sequence[dict[str, Any]]) -> None:
    """Replace every embedder of dense retrieval by a choice with a common name."""
    _change(config, lambda current: choice("encoder", [current, *(dict(encoder) for encoder in encoders)]))


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a configuration."""
    if isinstance(config, dict):
        yield config
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _nodes(value)


def _change(config: Any, change: Callable[[Any], Any]) -> None:
    """Replace every embedder of dense retrieval."""
    for node in list(_nodes(config)):
        if node.get("type") == "dense" and isinstance(node.get("embedder"), dict):
            node["embedder"] = change(node["embedder"])
