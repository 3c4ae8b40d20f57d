"""The tree of a pipeline and its state, shared by fitting, searching, saving and updating."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from rag.component import Component
from rag.corpus.chunkers.base import Chunker
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.embedders.base import Embedder
from rag.errors import ConfigError, NotFittedError
from rag.filters.base import Filter
from rag.pipeline.line import Line
from rag.pipeline.state import Fitted
from rag.remarks import Remark, Remarks
from rag.stage import Retriever, Stage
from rag.step import Step

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["PipelineBase"]


class PipelineBase(Component):
    """A chunker, a retriever and stages, with their fitted state."""

    kind: ClassVar[str] = "pipeline"

    retriever: Retriever
    chunker: Chunker
    stages: list[Stage]
    sorted_by: str | None

    _fitted: Fitted | None = None

    # -- the tree ---------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[tuple[Step, Component]]:
        """The retriever and the stages, in order, each with its name."""
        stages = [(Step.stage(index, stage.type), stage) for index, stage in enumerate(self.stages)]
        return [(Step.retriever(), self.retriever), *stages]

    @property
    def step_names(self) -> list[str]:
        """Names of the retriever and the stages, in order, as in ledgers and traces."""
        return [step.name for step, _ in self.steps]

    def tokenizer(self, corpus: Corpus) -> Tokenizer | None:
        """What the chunker counts tokens of these documents with: that of the first embedder that has any."""
        if not self.chunker.uses_tokenizer(corpus):
            return None
        embedder = next((part for _, part in self.spec.walk() if isinstance(part, Embedder) and part.has_tokens), None)
        return embedder.tokenizer() if embedder else None

    # -- the state --------------------------------------------------------------------------------------------------

    @property
    def fitted(self) -> Fitted:
        """The state made by fitting, loading or the last update.

        Raises:
            NotFittedError: Neither fitted nor loaded.
        """
        if self._fitted is None:
            raise NotFittedError("the pipeline has not been fitted: call fit(corpus) or load(folder) first")
        return self._fitted

    @fitted.setter
    def fitted(self, state: Fitted | None) -> None:
        self._fitted = state

    @property
    def passages(self) -> Passages:
        """The indexed passages.

        Raises:
            NotFittedError: Neither fitted nor loaded.
        """
        return self.fitted.passages

    @property
    def corpus(self) -> Corpus:
        """The indexed documents. Deleted ones keep their position until compaction: see :attr:`Corpus.alive`."""
        return self.passages.corpus

    @property
    def remarks(self) -> Remarks:
        """Remarks on documents and index, and of components; kept by :meth:`save`.

        An update adds remarks on its own documents; earlier remarks stay.
        """
        notes = [Remark("note", note) for _, part in self.spec.walk() for note in part.notes()]
        notes += [Remark("bound_on_ranks", message) for message in self._bounds_on_ranks()]
        return Remarks([*self.corpus.remarks, *self.fitted.remarks, *notes])

    def _bounds_on_ranks(self) -> Iterator[str]:
        """Filters that bound scores of a stage whose scores are ranks only."""
        for index, (stage, following) in enumerate(pairwise(self.stages)):
            settings = following.threshold_settings if isinstance(following, Filter) else ()
            bounds = {"min_score", "min_relative"}.intersection(settings)
            if stage.ranks_only and bounds:
                yield (
                    f"stages.{index + 1} {following.type} bounds scores ({', '.join(sorted(bounds))}), and those of "
                    f"stages.{index} {stage.type} are ranks fused: 'scores: scorer' there gives the scorer's own"
                )

    @property
    def fit_costs(self) -> Ledger:
        """Costs of fitting, by component; empty before."""
        return Ledger() if self._fitted is None else self._fitted.costs

    @property
    def reused(self) -> tuple[str, ...]:
        """Names of artifacts that fitting took from the store instead of building them."""
        return () if self._fitted is None else self._fitted.reused

    @property
    def answers_key(self) -> str | None:
        """Identity of its answers, as a key for derived results; None when it was not fitted through a store, or holds
        live Python objects.
        """
        return self._fitted.keys[-1] if self._fitted is not None and self._fitted.keys else None

    def line(self) -> Line:
        """The fitted steps, ready to run.

        Raises:
            NotFittedError: Neither fitted nor loaded.
        """
        return Line(self.steps, self.fitted.keys)

    def notes(self) -> tuple[str, ...]:
        passages = self.passages
        n = len(passages) if passages.living is None else len(passages.living)
        lost = n - (len(passages) if passages.findable is None else len(passages.findable))
        return (f"{lost} of {n} passages have no text: no query finds them",) if lost else ()

    def stale(self) -> str | None:
        """The reason why learned state may no longer suit the documents, in words, or None."""
        # An embedder shared by two parts is named once, at its first path.
        reasons = {
            part.fingerprint: (path, part, part._stale()) for path, part in reversed(list(self.spec.walk())) if path
        }
        said = [f"{path} ({part.spec.label}) was {why}" for path, part, why in reversed(reasons.values()) if why]
        return "; ".join(said) or None

    # -- checks -----------------------------------------------------------------------------------------------------

    def _check_chunker(self) -> None:
        below: Sequence[Component] = [self.retriever, *self.stages]
        parts = (part for root in below for _, part in root.spec.walk())
        if self.chunker.needs_tokenizer and not any(isinstance(part, Embedder) and part.has_tokens for part in parts):
            raise ConfigError(
                f"chunker {self.chunker.spec.label} counts in tokens, but no embedder of this pipeline has any: "
                "set its unit to characters",
                parameter="chunker",
            )

    def _check_answers(self) -> None:
        writing = [step.name for step, part in self.steps if isinstance(part, Stage) and part.writes_answers]
        if len(writing) > 1:
            raise ConfigError(
                f"a query has one answer, and {' and '.join(writing)} would each write one",
                parameter="stages",
            )
