"""The pipeline: a chunker, a retriever and stages, fitted on a corpus and asked in batches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.component import Component, Parameter, check_parts
from rag.component.inheritance import completed
from rag.config import build_component, dump, load_component
from rag.corpus.chunkers.auto import AutoChunker
from rag.corpus.chunkers.base import Chunker
from rag.corpus.readers import read_corpus
from rag.costs import Ledger
from rag.embedders.base import Embedder
from rag.errors import ConfigError
from rag.learning.training import Training
from rag.pipeline import saving, updates
from rag.pipeline.fitting import check_training, fit_steps
from rag.pipeline.searching import SearchablePipeline
from rag.pipeline.updating import UpdatablePipeline
from rag.progress import Progress, announced, no_progress
from rag.stage import Retriever, Stage
from rag.store.generations import Generation, generations, roll_back
from rag.store.store import Store

__all__ = ["Pipeline"]


class Pipeline(SearchablePipeline, UpdatablePipeline):
    """Documents are cut by the chunker, found by the retriever and worked on by the stages, in order.

    Args:
        chunker: Cuts documents into passages. Whatever it does, results are documents, each with its best passage. By
            default those read from files such as PDF and HTML are cut as Markdown, and rows of tables are not.
        retriever: Finds candidates.
        stages: Rerank or filter them, one after another.
        sorted_by: A field of the documents' metadata, one number each. Documents are kept in its order, so that a
            filter on a window of it is a slice: the fastest there is. None keeps them in the order they came.
    """

    type = "pipeline"
    needs = frozenset({"corpus"})

    def __init__(
        self,
        *,
        retriever: Retriever,
        chunker: Chunker = AutoChunker(),  # noqa: B008 - a default component is cloned for each instance
        stages: Sequence[Stage] = (),
        sorted_by: str | None = None,
    ) -> None:
        self.retriever = retriever
        self.chunker = chunker
        self.stages = list(stages)
        self.sorted_by = sorted_by
        self._fitted = None
        self._said = set()

        self._check_chunker()
        self._check_answers()

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Stages that name no embedder take the first fitting one of the retriever."""
        embedders = [part for _, part in values["retriever"].spec.walk() if isinstance(part, Embedder)]

        def find(parameter: Parameter, path: str) -> Component:
            contract = parameter.slot.contract if parameter.slot else Embedder
            fitting = next((part for part in embedders if isinstance(part, contract)), None)
            if fitting is None:
                raise ConfigError(
                    f"{path}.{parameter.name} is not given, and the retriever has no {contract.__name__}: name one",
                    parameter="stages",
                )
            return fitting.spec.clone()

        stages = [completed(stage, find, f"stages.{number}") for number, stage in enumerate(values["stages"])]
        return {**values, "stages": stages}

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    @refuses_unknown
    def from_yaml(cls, path: str | Path, *, overrides: Sequence[str] = ()) -> Pipeline:
        """Read a pipeline file.

        Args:
            path: The file.
            overrides: ``a.b=value`` assignments, as ``--set`` takes them.

        Raises:
            ConfigError: Every mistake in the file, each with line and column.
        """
        return load_component(path, cls, overrides=overrides)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        """Build the tree that a mapping such as :meth:`to_config` gives describes.

        Raises:
            ConfigError: Every mistake in it.
        """
        return build_component(config, cls)

    def to_yaml(self) -> str:
        """The complete pipeline, every default written out; reading it gives an identical tree."""
        return dump(self.spec.to_config())

    # -- fitting ----------------------------------------------------------------------------------------------------

    @refuses_unknown
    def fit(  # type: ignore[override]
        self,
        corpus: Any,
        *,
        training: Training | None = None,
        progress: Progress = no_progress,
        seed: int = 0,
        store: Store | str | Path | None = None,
        drop_fields: Collection[str] = (),
    ) -> Pipeline:
        """Chunk, embed and index the documents, and let components learn.

        Args:
            corpus: A :class:`Corpus`, or anything :func:`rag.corpus.read_corpus` reads.
            training: Judged queries, for components that learn.
            progress: Shows how far it is.
            seed: For everything random.
            store: Where what is built is kept, and found when the same is built again: a store, or its folder. None
                keeps nothing.
            drop_fields: Metadata fields of the documents to leave out, those of nested mappings with dots.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: A component needs training data and there are none, or asks more of a model than it can do;
                said before any work.
            DataError: The corpus cannot be used.
        """
        if store is not None and not isinstance(store, Store):
            store = Store(store)
        check_training(self, training)
        check_parts(self)
        ledger = Ledger()
        with announced(progress):
            with ledger.stage("corpus"):
                corpus = read_corpus(corpus, drop_fields=drop_fields)
            self._fitted = None  # should anything below fail
            self._fitted = fit_steps(
                self, corpus, training=training, ledger=ledger, progress=progress, seed=seed, store=store
            )
        return self

    # -- keeping ----------------------------------------------------------------------------------------------------

    @refuses_unknown
    def save(self, folder: str | Path, *, keep: int | None = None) -> None:
        """Write everything needed to answer into one folder; an older pipeline there is replaced in one step.

        Args:
            folder: New, or one that holds a saved pipeline.
            keep: How many generations before this one stay, for :meth:`rollback`; files that did not change take
                room once. None keeps as many as was said the last time, at first none.

        Raises:
            ArtifactError: The folder holds other things or cannot be written.
            ConfigError: The pipeline holds a Python object that no file can name.
        """
        saving.check_keep(keep)
        saving.save(self, Path(folder), keep=keep)

    @classmethod
    @refuses_unknown
    def load(cls, folder: str | Path, *, verify: bool = False) -> Pipeline:
        """Open a saved pipeline; arrays and documents are mapped, not read. What is open stays as it is, whatever a
        writer does to the folder.

        Args:
            folder: What :meth:`save` wrote.
            verify: Compare the checksum of every file. Otherwise sizes are compared, and the checksums of small files
                and of those that were touched since they were written.

        Raises:
            ArtifactError: Nothing there, damaged, written by a newer version, or a model it was built with has changed.
        """
        return saving.load(cls, Path(folder), verify=verify)

    @staticmethod
    @refuses_unknown
    def editing(folder: str | Path, *, keep: int | None = None) -> AbstractContextManager[Pipeline]:
        """A saved pipeline, to be changed and saved on leaving, unless an error was raised. Nobody else writes to the
        folder meanwhile; a second one waits::

            with Pipeline.editing("index") as pipeline:
                pipeline.add(documents)

        Args:
            folder: What :meth:`save` wrote.
            keep: As for :meth:`save`.
        """
        saving.check_keep(keep)
        return updates.editing(Pipeline, Path(folder), keep=keep)

    @staticmethod
    @refuses_unknown
    def generations(folder: str | Path) -> list[Generation]:
        """What a folder holds and what :meth:`rollback` can go back to, newest first.

        Raises:
            ArtifactError: There is no saved pipeline.
        """
        return generations(Path(folder), Pipeline.kind)

    @staticmethod
    @refuses_unknown
    def rollback(folder: str | Path, *, steps: int = 1) -> Generation:
        """Take back the last updates of a saved pipeline, in one step: what was before holds again, what came after
        is removed. Who has it open keeps what is open.

        Args:
            folder: What :meth:`save` wrote with ``keep``.
            steps: How many generations to go back.

        Returns:
            The generation that holds now.

        Raises:
            ArtifactError: No generation so early was kept, or it is damaged; nothing is changed then.
        """
        return roll_back(Path(folder), Pipeline.kind, steps)
