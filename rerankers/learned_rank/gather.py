"""Gather the input of learning to rank: candidates from all lists, and their features by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.candidates import Bools, Candidates, Floats
from rag.component import Component
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.learning.features import Features, assembled, from_list, from_scores, union
from rag.learning.remembers import Remembers
from rag.stage import Retriever
from rag.tables import in_list

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Gathered", "Gatherer"]


@dataclass(frozen=True)
class Gathered:
    """Candidates of some queries and their features.

    Args:
        candidates: From all lists, by document; scores say nothing.
        plain: Mask of candidates from a list without memory of judgments, bool [n, k].
        features: Features of the candidates.
        remembered: Whether a feature comes from judgments, bool [features].
        akin: How likely each query shares a relevant document with a judged one, float32 [n]; 0 where no memory says
            anything.
        first: The list that came in, best first.
    """

    candidates: Candidates
    plain: Bools
    features: Features
    remembered: Bools
    akin: Floats
    first: Candidates


@dataclass(frozen=True)
class Gatherer:
    """Knows where candidates and features come from.

    Args:
        first: The retriever of the pipeline, asked for what it knows of candidates; None outside a pipeline.
        sources: Retrievers that are asked beside it.
        fields: Number fields of the metadata.
        depth: Number of candidates from each list.
        passages: Passages of the corpus.
    """

    first: Retriever | None
    sources: Sequence[Retriever]
    fields: Sequence[str]
    depth: int
    passages: Passages

    def __call__(self, batch: QueryBatch, first: Candidates) -> Gathered:
        """Gather candidates and features for the incoming list."""
        step = batch.step
        tables = {name: table for name, table in batch.lists.items() if not step.holds(name)} or {"first": first}
        for n, source in enumerate(self.sources):
            inner = batch.for_part(n, source.type)
            inner.record(inner.step.name, inner.found_by(source))
        # Features have the same names wherever the stage stands, and while it is fitted.
        tables |= {
            f"sources{name.removeprefix(step.name)}": table for name, table in batch.lists.items() if step.holds(name)
        }
        kinds = {part.type for root in self._roots() for _, part in root.spec.walk() if "training" in part.needs}
        learned = {name for name in tables if any(part.split(" ")[-1] in kinds for part in name.split("."))}
        plain = {name: table for name, table in tables.items() if name not in learned}
        candidates = union([first, *plain.values(), *(tables[name] for name in sorted(learned))], self.depth)
        unlearned = union([first, *plain.values()], self.depth)
        parts: dict[str, Floats] = {}
        rising: dict[str, bool] = {}
        remembered: set[str] = set()
        for name, table in tables.items():
            self._put(parts, rising, from_list(table, candidates), name)
            remembered |= {
                name_of_part for name_of_part in parts if name in learned and name_of_part.startswith(f"{name}: ")
            }
        for path, part in self._knowing():
            before = set(parts)
            for feature, scores in part.features(batch, candidates, first).items():
                self._put(parts, rising, from_scores(scores, candidates), f"{path} {feature}")
            remembered |= set(parts) - before if "training" in part.needs else set()
            for feature, values in part.query_features(batch).items():
                parts[f"{path} {feature}"] = np.broadcast_to(values[:, None], candidates.documents.shape)
                rising[f"{path} {feature}"] = False
        for feature, values in self._texts(batch, candidates).items():
            parts[feature], rising[feature] = values, False
        for feature, values in self._metadata(candidates).items():
            parts[feature], rising[feature] = values, False
        features = assembled(parts, rising)
        from_memory = np.array([name in remembered for name in features.names], dtype=bool)
        akin = np.zeros(len(candidates), dtype=np.float32)
        for memory in self._memories():
            akin = np.maximum(akin, memory.akin(batch))
        return Gathered(candidates, _among(candidates, unlearned), features, from_memory, akin, first)

    def _roots(self) -> list[Component]:
        return [*([self.first] if self.first is not None else []), *self.sources]

    def _knowing(self) -> Iterable[tuple[str, Retriever]]:
        """Retrievers that may know something of candidates, each once, with a name."""
        roots: list[tuple[str, Component]] = [("retriever", self.first)] if self.first is not None else []
        roots += [(f"sources.{n}", source) for n, source in enumerate(self.sources)]
        seen: set[str] = set()
        for root, component in roots:
            for path, part in component.spec.walk(root):
                if isinstance(part, Retriever) and part.knowledge not in seen:
                    seen.add(part.knowledge)
                    yield f"{path} {part.type}", part

    def _memories(self) -> Iterable[Remembers]:
        return (part for root in self._roots() for _, part in root.spec.walk() if isinstance(part, Remembers))

    @staticmethod
    def _put(parts: dict[str, Floats], rising: dict[str, bool], values: Mapping[str, Floats], name: str) -> None:
        for feature, array in values.items():
            parts[f"{name}: {feature}"], rising[f"{name}: {feature}"] = array, True

    def _texts(self, batch: QueryBatch, candidates: Candidates) -> dict[str, Floats]:
        """Lengths of passages and queries, as logarithms."""
        length = (self.passages.end - self.passages.start)[np.maximum(candidates.passages, 0)]
        words = np.array([len(text.split()) for text in batch.texts], dtype=np.float32)
        return {
            "passage length": np.log1p(length).astype(np.float32),
            "query length": np.broadcast_to(np.log1p(words)[:, None], candidates.documents.shape),
        }

    def _metadata(self, candidates: Candidates) -> dict[str, Floats]:
        """Numeric metadata fields; NaN for documents without a value."""
        columns = {}
        for name in self.fields:
            column = self.passages.corpus.fields.field(name).numbers()
            columns[f"metadata {name}"] = column[np.maximum(candidates.documents, 0)].astype(np.float32)
        return columns

    def check(self) -> None:
        """Raise an error for fields that are missing or not numeric.

        Raises:
            DataError: A field that no document has, or that holds no numbers.
        """
        for name in self.fields:
            if "numbers" not in self.passages.corpus.fields.field(name).kinds:
                raise DataError(f"learned_rank: the field '{name}' holds no numbers, and cannot be a feature")


def _among(candidates: Candidates, other: Candidates) -> Bools:
    """Which candidates are among others, bool [n, k]."""
    return np.asarray(in_list(other, candidates.documents)[1] >= 0)
