"""The pipeline: a chunker, a retriever and stages, fitted on a corpus and searched in batches."""

from __future__ import annotations

import contextlib
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
from rag.embedders.recent import RecentVectors
from rag.errors import ConfigError
from rag.execution import Execution
from rag.learning.training import Training
from rag.pipeline import saving, updates
from rag.pipeline.elsewhere import held_elsewhere, settle
from rag.pipeline.fitting import check_training, fit_steps
from rag.pipeline.following import Following
from rag.pipeline.searching import SearchablePipeline
from rag.pipeline.updating import UpdatablePipeline
from rag.progress import Progress, announced, no_progress
from rag.stage import Retriever, Stage
from rag.store.generations import Generation, generations, roll_back
from rag.store.opening import store_at
from rag.store.store import Store

__all__ = ["Pipeline"]


class Pipeline(SearchablePipeline, UpdatablePipeline):
    """Documents are split by the chunker, retrieved by the retriever and processed by the stages, in order.

    Args:
        chunker: Splits documents into passages; results are documents all the same, each with its best passage. By
            default documents from files such as PDF and HTML are split as Markdown, and rows of tables are not split.
        retriever: Finds candidates.
        stages: Rerank or filter candidates, one after another.
        sorted_by: A metadata field with one number per document. Documents are stored in its order, so that a filter on
            a range of it is a slice, the fastest filter. None keeps the given order.

    Threads: any number of threads may call :meth:`search`, :meth:`asearch` and :meth:`document` of one pipeline at the
    same time. Methods that change it (:meth:`fit`, :meth:`add`, :meth:`delete`, :meth:`sync`, :meth:`compact`,
    :meth:`add_qrels`) must run alone. To change a pipeline in use, change its folder through :meth:`editing`, which
    admits one writer of all processes at a time, and :meth:`follow` the folder.
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
        self._recent = RecentVectors()

        self._check_chunker()
        self._check_answers()

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let stages without an embedder inherit the first suitable one of the retriever."""
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

        stages = [completed(stage, find, f"stages.{index}") for index, stage in enumerate(values["stages"])]
        return {**values, "stages": stages}

    def __rshift__(self, stage: Stage) -> Pipeline:
        """A pipeline that is not fitted, with one more stage at the end.

        Example:
            >>> from rag import Pipeline, Threshold
            >>> from rag.retrievers import BM25
            >>> Pipeline(retriever=BM25()) >> Threshold(top_k=3)
            Pipeline(retriever=BM25(), stages=[Threshold(top_k=3)])
        """
        if not isinstance(stage, Stage):
            return NotImplemented
        arguments = self.spec.clone().spec.arguments
        return Pipeline(**{**arguments, "stages": [*arguments["stages"], stage]})

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    @refuses_unknown
    def from_yaml(cls, path: str | Path, *, overrides: Sequence[str] = ()) -> Pipeline:
        """Read a pipeline file.

        Args:
            path: The file.
            overrides: ``a.b=value`` assignments, as for ``--set``.

        Raises:
            ConfigError: All mistakes in the file, each with line and column.
        """
        return load_component(path, cls, overrides=overrides)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        """Build a pipeline from a mapping, such as made by :meth:`to_config`.

        Raises:
            ConfigError: All mistakes in it.
        """
        return build_component(config, cls)

    def to_yaml(self) -> str:
        """The complete pipeline as YAML, with all defaults written out; reading it gives an identical tree."""
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
        execution: Execution | None = None,
    ) -> Pipeline:
        """Chunk, embed and index the documents, and train the components that learn.

        Args:
            corpus: A :class:`Corpus`, or any input of :func:`rag.corpus.read_corpus`.
            training: Judged queries, for components that learn.
            progress: Callback that shows progress.
            seed: Seed of all random draws.
            store: Cache of everything that is built, as a store or its folder. None caches nothing.
            drop_fields: Metadata fields of the documents to leave out, with dots for nested mappings.
            execution: Does the work of models on other machines, such as :class:`rag.cluster.Ray`; None does it here.

        Returns:
            The fitted pipeline itself.

        Raises:
            ConfigError: A component needs training data and there is none, or exceeds the limits of a model; raised
                before any work.
            DataError: The corpus cannot be used.
        """
        if store is not None and not isinstance(store, Store):
            store = store_at(store)
        check_training(self, training)
        check_parts(self)
        ledger = Ledger()
        with announced(progress), contextlib.nullcontext() if execution is None else execution.used():
            with ledger.stage("corpus"):
                corpus = read_corpus(corpus, drop_fields=drop_fields)
            self._fitted = None  # in case anything below fails
            self._fitted = fit_steps(
                self, corpus, training=training, ledger=ledger, progress=progress, seed=seed, store=store
            )
        return self

    # -- keeping ----------------------------------------------------------------------------------------------------

    @refuses_unknown
    def save(self, folder: str | Path, *, keep: int | None = None) -> None:
        """Write everything needed to answer into one folder, replacing an older pipeline atomically.

        Args:
            folder: A new folder, or one with a saved pipeline.
            keep: Number of earlier generations to keep for :meth:`rollback`; unchanged files are stored once. None
                keeps the number given last time, at first none.

        Raises:
            ArtifactError: The folder has other content or cannot be written.
            ConfigError: The pipeline holds a Python object that no file can represent.
        """
        saving.check_keep(keep)
        saving.save(self, Path(folder), keep=keep)

    @classmethod
    @refuses_unknown
    def load(cls, folder: str | Path, *, verify: bool = False) -> Pipeline:
        """Open a saved pipeline; arrays and documents are memory-mapped, not read. An open pipeline stays unchanged
        even if the folder is rewritten.

        Args:
            folder: A folder written by :meth:`save`.
            verify: Compare the checksum of every file. Otherwise only sizes are compared, and checksums of small files
                and of files modified after writing.

        Raises:
            ArtifactError: The pipeline is missing, damaged, written by a newer version, or its model has changed.
        """
        return saving.load(cls, Path(folder), verify=verify)

    @classmethod
    @refuses_unknown
    def follow(cls, folder: str | Path, *, every: float | None = 1.0) -> Following:
        """Open a saved pipeline and follow its folder: a handle that always has the newest generation, which is
        loaded and searched once before it replaces the previous one::

            with Pipeline.follow("index") as index:
                index.search("how long is the warranty?")

        Args:
            folder: A folder written by :meth:`save`.
            every: Seconds between two looks at the folder; None looks only when :meth:`Following.refresh` is called.

        Raises:
            ArtifactError: As :meth:`load`.
        """
        return Following(cls, Path(folder), every)

    @staticmethod
    @refuses_unknown
    def editing(folder: str | Path, *, keep: int | None = None) -> AbstractContextManager[Pipeline]:
        """Open a saved pipeline for changes and save it on exit, unless an error was raised. Other writers of the
        folder wait meanwhile::

            with Pipeline.editing("index") as pipeline:
                pipeline.add(documents)

        Args:
            folder: A folder written by :meth:`save`.
            keep: As for :meth:`save`.
        """
        saving.check_keep(keep)
        return updates.editing(Pipeline, Path(folder), keep=keep)

    @staticmethod
    @refuses_unknown
    def generations(folder: str | Path) -> list[Generation]:
        """The generations of a folder that :meth:`rollback` can restore, newest (current) first.

        Raises:
            ArtifactError: There is no saved pipeline.
        """
        return generations(Path(folder), Pipeline.kind)

    @staticmethod
    @refuses_unknown
    def rollback(folder: str | Path, *, steps: int = 1) -> Generation:
        """Roll back the last updates of a saved pipeline in one step: the earlier generation becomes current, later
        ones are removed. Pipelines that are open stay unchanged.

        Args:
            folder: A folder written by :meth:`save` with ``keep``.
            steps: Number of generations to go back.

        Returns:
            The generation that is now current.

        Raises:
            ArtifactError: No such early generation was kept, or it is damaged; nothing is changed then.
        """
        folder = Path(folder)

        def written() -> None:
            if held := held_elsewhere(folder):
                settle(saving.load(Pipeline, folder, verify=False), folder, held)

        return roll_back(folder, Pipeline.kind, steps, written=written)
