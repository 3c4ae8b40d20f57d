"""The pipeline: a chunker, a retriever and stages, fitted on a corpus and asked in batches."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from rag import updates
from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.component import Component, Parameter, check_parts
from rag.component.inheritance import completed
from rag.conditions import Condition
from rag.context import FitContext, Progress, Training, Upstream, no_progress
from rag.corpus.chunkers.base import Chunker
from rag.corpus.chunkers.none import NoChunker
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.corpus.readers import read_corpus
from rag.costs import Ledger
from rag.embedders.base import Embedder
from rag.errors import ArtifactError, ConfigError, DataError, MissingExtraError, ModelError, NotFittedError, RagError
from rag.learning.remembers import Remembers
from rag.limits import MAX_DELETES
from rag.progress import announced
from rag.remarks import Remark, Remarks
from rag.stage import Retriever, Stage
from rag.store.fingerprint import fingerprint
from rag.store.folder import FORMAT, read_folder, write_folder
from rag.store.generations import Generation, generations, roll_back
from rag.store.lists import kept_step
from rag.store.store import Store
from rag.text.normal import is_blank
from rag.types import Answer, Hit, Query, SearchResult
from rag.updates import COMPACT_AT, Changes, Saved

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rag.langchain import PipelineRetriever

__all__ = ["Pipeline"]

logger = logging.getLogger("rag.pipeline")

_SAID = 1000
"""Remarks on questions that are remembered, so that the log has each once."""


class Pipeline(Component):
    """Documents are cut by the chunker, found by the retriever and worked on by the stages, in order.

    Args:
        chunker: Cuts documents into passages. Whatever it does, results are documents, each with its best passage.
        retriever: Finds candidates.
        stages: Rerank or filter them, one after another.
        sorted_by: A field of the documents' metadata, one number each. Documents are kept in its order, so that a
            filter on a window of it is a slice: the fastest there is. None keeps them in the order they came.
    """

    kind: ClassVar[str] = "pipeline"
    type = "pipeline"
    needs = frozenset({"corpus"})

    def __init__(
        self,
        *,
        retriever: Retriever,
        chunker: Chunker = NoChunker(),  # noqa: B008 - a default component is cloned for each instance
        stages: Sequence[Stage] = (),
        sorted_by: str | None = None,
    ) -> None:
        self.retriever = retriever
        self.chunker = chunker
        self.stages = list(stages)
        self.sorted_by = sorted_by
        self._passages: Passages | None = None
        self.fit_costs = Ledger()
        """What fitting has cost, by component."""
        self.reused: tuple[str, ...] = ()
        """What fitting took from the store instead of building it."""
        self._fit_remarks = Remarks()
        self._keys: list[str | None] = []  # of what comes out of each step
        self._saved: Saved | None = None
        self._said: set[str] = set()

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
        from rag.config import load_pipeline

        return load_pipeline(path, overrides=overrides)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        """Build the tree that a mapping such as :meth:`to_config` gives describes.

        Raises:
            ConfigError: Every mistake in it.
        """
        from rag.config import build_pipeline

        return build_pipeline(config)

    def to_yaml(self) -> str:
        """The complete pipeline, every default written out; reading it gives an identical tree."""
        from rag.config import dump

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
        for path, component in self.spec.walk():
            if "training" in component.needs and training is None:
                raise ConfigError(
                    f"{path} ({component.spec.label}) learns from judged training queries: none were given (rag eval "
                    "has those of a dataset's train split; --save keeps what it fitted)"
                )
        check_parts(self)
        ledger = Ledger()
        with announced(progress):
            with ledger.stage("corpus"):
                corpus = read_corpus(corpus, drop_fields=drop_fields)
            return self._fit(corpus, training, ledger, progress, seed, store)

    def _fit(
        self,
        corpus: Corpus,
        training: Training | None,
        ledger: Ledger,
        progress: Progress,
        seed: int,
        store: Store | None,
    ) -> Pipeline:
        with ledger.stage("corpus"):
            if self.sorted_by is not None:
                corpus = corpus.sorted_by(self.sorted_by)
        with ledger.stage("chunker"):
            passages = self.chunker.chunk(corpus, self._tokenizer())
        self._passages = self._saved = None  # not fitted, should anything below fail
        context = FitContext(corpus, passages, training, ledger, progress, seed, store, first=self.retriever)
        with ledger.stage("shared"):
            self.prepare(context)
        self._keys = self._step_keys(context)
        for number, (name, component) in enumerate(self._steps()):
            if number:
                context.after(Upstream(partial(self._through, n_steps=number), self._keys[number - 1]))
            with ledger.stage(name):
                context.fit(component)
        context.finish()
        self.fit_costs = ledger
        self.reused = tuple(context.reused)
        self._fit_remarks = context.remarks
        self._passages = passages
        logger.info("fitted on %d documents, %d passages", len(corpus), len(passages))
        return self

    @property
    def passages(self) -> Passages:
        """The passages it was fitted on.

        Raises:
            NotFittedError: Neither fitted nor loaded.
        """
        if self._passages is None:
            raise NotFittedError("the pipeline has not been fitted: call fit(corpus) or load(folder) first")
        return self._passages

    @property
    def corpus(self) -> Corpus:
        """The documents it was fitted on, or updated to. Deleted ones keep their position for a while: see
        :attr:`Corpus.alive`.
        """
        return self.passages.corpus

    @property
    def remarks(self) -> Remarks:
        """What was left out of the documents and the index, and what components have to say; kept by :meth:`save`.

        An update adds remarks on what came with it; earlier ones stay as they were made.
        """
        notes = [Remark("note", note) for _, part in self.spec.walk() for note in part.notes()]
        return Remarks([*self.corpus.remarks, *self._fit_remarks, *notes])

    # -- keeping current --------------------------------------------------------------------------------------------

    @refuses_unknown
    def add(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        drop_fields: Collection[str] = (),
    ) -> Changes:
        """Add documents, or replace those whose ids are known. What did not change is skipped.

        Either all of it happens or, when an error is raised, nothing. Not while another thread searches. A file of a
        folder that was indexed is known, whatever path leads to it.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: Rewrite everything without deleted documents when more than this fraction of the passages is
                theirs: until then they take room and some time in a search.
            drop_fields: Metadata fields to leave out, those of nested mappings with dots.

        Raises:
            DataError: The documents cannot be used.
        """
        return updates.add(
            self, documents, store=store, progress=progress, compact_at=compact_at, drop_fields=drop_fields
        )

    @refuses_unknown
    def delete(
        self,
        ids: Iterable[str] | None = None,
        *,
        filter: Condition | None = None,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        dry_run: bool = False,
    ) -> Changes:
        """Remove documents by id, or all that pass a filter. See :meth:`add`.

        Args:
            ids: Those that are not there are reported in the result.
            filter: A condition on metadata instead, such as ``{"tenant": "A"}``: see :mod:`rag.conditions`.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: As for :meth:`add`.
            dry_run: Only count what would be done.

        Raises:
            DataError: No document would be left, or the filter names a field that no document has.
        """
        return updates.delete(self, ids, filter, store=store, progress=progress, compact_at=compact_at, dry_run=dry_run)

    @refuses_unknown
    def sync(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        dry_run: bool = False,
        max_deletes: int | float | str | None = MAX_DELETES,
        drop_fields: Collection[str] = (),
    ) -> Changes:
        """Make it hold these documents and no others: adds, replaces and deletes what differs. See :meth:`add`.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: As for :meth:`add`.
            dry_run: Only count what would be done.
            max_deletes: Refuse to delete more documents: a number of them (500), a share of those there are (0.5,
                ``"50%"``), or None for no limit. The default is a fifth: more mostly means that a source was read in
                part.
            drop_fields: As for :meth:`add`.

        Raises:
            DataError: The documents cannot be used, or more would be deleted than may be.
        """
        return updates.sync(
            self,
            documents,
            store=store,
            progress=progress,
            compact_at=compact_at,
            dry_run=dry_run,
            max_deletes=max_deletes,
            drop_fields=drop_fields,
        )

    @refuses_unknown
    def add_judgements(self, judged: Training, *, weight: float = 1.0) -> int:
        """Have those parts that remember judged queries, such as ``query_memory``, remember more of them at once.

        Args:
            judged: Queries and their judgements, of documents by their ids.
            weight: What one of them counts beside one of the training judgements: less than 1 for clicks.

        Returns:
            How many judgements were new or changed.

        Raises:
            ConfigError: Nothing in the pipeline remembers any.
        """
        self.passages  # noqa: B018 - raises when not fitted
        parts = [(path, part) for path, part in self.spec.walk() if isinstance(part, Remembers)]
        if not parts:
            raise ConfigError("no part of this pipeline remembers judgements: it takes a query_memory")
        changed = max(part.add_judgements(judged, weight=weight) for _, part in parts)
        self._keys = []  # what it finds has another identity now
        if self._saved is not None:
            rest = self._saved.as_before - {f"state/{path}" for path, _ in parts}
            self._saved = replace(self._saved, as_before=rest)
        return changed

    @refuses_unknown
    def compact(self, *, store: Store | str | Path | None = None, progress: Progress = no_progress) -> Changes:
        """Rewrite everything without the deleted documents."""
        return updates.compact(self, store=store, progress=progress)

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
        _check_keep(keep)
        return updates.editing(Path(folder), keep=keep)

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

    def notes(self) -> tuple[str, ...]:
        passages = self.passages
        n = len(passages) if passages.living is None else len(passages.living)
        lost = n - (len(passages) if passages.findable is None else len(passages.findable))
        return (f"{lost} of {n} passages have no text: no query finds them",) if lost else ()

    def stale(self) -> str | None:
        # An embedder that two parts share is named once, where it is first.
        found = {
            part.fingerprint: (path, part, part._stale()) for path, part in reversed(list(self.spec.walk())) if path
        }
        said = [f"{path} ({part.spec.label}) was {why}" for path, part, why in reversed(found.values()) if why]
        return "; ".join(said) or None

    # -- asking -----------------------------------------------------------------------------------------------------

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is a sequence of str
        self,
        query: str | Query,
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult: ...
    @overload
    def search(
        self,
        query: Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> list[SearchResult]: ...
    @refuses_unknown
    def search(
        self,
        query: str | Query | Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult | list[SearchResult]:
        """Answer one query, or many in one batch.

        Args:
            query: A text or a :class:`Query`, or a sequence of them.
            top_k: At most this many hits per query; by default all that the last stage left.
            filter: Only documents whose metadata pass are found, such as ``{"year": {"gte": 1970}}``: see
                :mod:`rag.conditions`. It goes for queries that have no filter of their own.
            explain: Fill each hit's scores by stage.
            answer: Have a stage such as ``generate``, where there is one, write an answer to each.

        Raises:
            DataError: A query without text, something that is no query, or a filter on a field no document has.
            NotFittedError: The pipeline has not been fitted.
        """
        if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
            raise ConfigError(f"must be a whole number from 1 on, got {top_k!r}", parameter="top_k")
        if isinstance(query, (Mapping, Set, bytes, bytearray, memoryview)):
            raise _no_query(query)
        single = isinstance(query, (str, Query)) or not isinstance(query, Iterable)
        asked: Sequence[Any] = [query] if single else query  # type: ignore[assignment]
        queries = [_query(value, number) for number, value in enumerate(asked)]
        if filter is not None:
            queries = [query if query.filter is not None else replace(query, filter=filter) for query in queries]
        batch = QueryBatch(queries, trace={} if explain else None, answers={} if answer else None)
        candidates = self.run(batch)
        if top_k is not None:
            candidates = candidates.head(top_k)
        results = [self._remarked(result, top_k) for result in self.results(batch, candidates)]
        return results[0] if single else results

    def _remarked(self, result: SearchResult, top_k: int | None) -> SearchResult:
        """A result with what is odd about its question; each oddity goes to the log once."""
        remarks = [] if result.query.filter is None else [*self.corpus.fields.remarks(result.query.filter)]
        name, limit = min(self._limits(), key=itemgetter(1), default=("", 0))
        if top_k is not None and limit < top_k and len(result) == limit:
            message = f"top_k={top_k} was asked for, and {name} gives {limit} at most: set {name}.top_k to find more"
            remarks.append(Remark("top_k_limited", message, count=limit, total=top_k))
        for remark in remarks:
            if remark.message not in self._said:
                if len(self._said) < _SAID:
                    self._said.add(remark.message)
                logger.warning("%s", remark)
        return replace(result, remarks=tuple(remarks)) if remarks else result

    def _limits(self) -> Iterator[tuple[str, int]]:
        """The retriever and the stages that give so many documents at most, by their place in the tree."""
        for name, step in [("retriever", self.retriever), *((f"stages.{n}", s) for n, s in enumerate(self.stages))]:
            limit = step.spec.arguments.get("top_k")
            if isinstance(limit, int):
                yield name, limit

    def run(self, batch: QueryBatch) -> Candidates:
        """Send a batch down the line and return the table that comes out. The columnar form of :meth:`search`."""
        self.passages  # noqa: B018 - raises when not fitted
        return self._through(batch, None)

    def _through(self, batch: QueryBatch, n_steps: int | None) -> Candidates:
        """What comes out of the first steps; all of them for None."""
        candidates = Candidates.empty(len(batch))
        batch.lists.clear()  # of an earlier run
        if not len(batch):
            return candidates
        asked = batch.with_text()
        if len(asked) < len(batch):
            return self._without_blanks(batch, asked, n_steps)
        for number, (name, step) in enumerate(self._steps()[:n_steps]):
            key = self._keys[number] if self._keys else None
            if key is not None and batch.unseen is not None and self._remembers(number):
                key = fingerprint([key, batch.unseen.fingerprint])
            kept = batch.store is not None and all(getattr(part, "keeps_lists", True) for _, part in step.spec.walk())
            if batch.store is None or key is None or not kept or batch.is_doubtful:
                with batch.ledger.stage(name), batch.at(name):
                    candidates = _ask(step, batch, candidates)
                batch.record(name, candidates)
            else:
                about = ", then ".join(repr(one) for _, one in self._steps()[: number + 1])
                candidates = kept_step(batch.store, key, about, name, partial(_ask, step), batch, candidates)
            if isinstance(step, Retriever):
                batch.was_found(step, candidates)
        return candidates

    def _without_blanks(self, batch: QueryBatch, asked: Ints, n_steps: int | None) -> Candidates:
        """The same of a batch in which only some queries have a text: the others find nothing, and have no answer."""
        found = batch.spread(self._through(batch.part(asked), n_steps), asked)
        for name in self.step_names[:n_steps] if not len(asked) else ():
            batch.record(name, found)
        if n_steps is None and any(stage.writes_answers for stage in self.stages):
            for query in batch.queries:
                if not query.text.strip():
                    batch.answered(query, Answer("", problem="the query has no text", money=0.0))
        return found

    def results(self, batch: QueryBatch, candidates: Candidates) -> list[SearchResult]:
        """A table as documents with scores: the edge where objects are made."""
        passages = self.passages
        costs = batch.ledger.total
        rows, columns = np.nonzero(candidates.mask)
        found = candidates.passages[rows, columns]
        documents, where = np.unique(candidates.positions[rows, columns], return_inverse=True)
        objects = passages.corpus.documents(documents)
        explanations, keys = _explanations(batch, candidates)
        hits: list[list[Hit]] = [[] for _ in batch.queries]
        for number, (row, place, score, start, end, passage) in enumerate(
            zip(
                rows.tolist(),
                where.tolist(),
                candidates.scores[rows, columns].tolist(),
                passages.start[found].tolist(),
                passages.end[found].tolist(),
                found.tolist(),
                strict=True,
            )
        ):
            document = objects[place]
            metadata = passages.metadata.get(passage, {})
            text = metadata.get("table_header", "") + document.text[start:end]
            hits[row].append(Hit(document, score, text, start, end, metadata, explanations[number], keys[number]))
        return [
            SearchResult(query, tuple(h), costs, batch.answer_to(query))
            for query, h in zip(batch.queries, hits, strict=True)
        ]

    def as_langchain_retriever(
        self,
        *,
        k: int | None = None,
        filter: Condition | None = None,
        whole_documents: bool = False,
        **langchain: Any,
    ) -> PipelineRetriever:
        """This pipeline as a LangChain retriever.

        Args:
            k: At most this many documents; None takes all that the last stage leaves.
            filter: Only documents whose metadata pass: see :mod:`rag.conditions`.
            whole_documents: Give each document's whole text instead of its best passage.
            langchain: What any retriever of LangChain takes: ``name``, ``tags``, ``metadata``.

        Raises:
            ConfigError: There is no such argument, or a value is wrong.
        """
        from rag.langchain import PipelineRetriever

        return PipelineRetriever(
            pipeline=self,
            k=k,
            filter=None if filter is None else dict(filter),
            whole_documents=whole_documents,
            **langchain,
        )

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
        _check_keep(keep)
        passages = self.passages
        config = self.to_yaml()
        about = {
            "fingerprint": self.fingerprint,
            "documents": self.corpus.n_alive,
            "version": version("rag-pipelines"),
            "contents": self._contents(),
        }
        with write_folder(Path(folder), Pipeline.kind, about, keep=keep) as data:
            before = self._saved.linked_into(data) if self._saved else frozenset()
            (data / "pipeline.yaml").write_text(config, encoding="utf-8")
            if "corpus" not in before:
                passages.corpus.write(data / "corpus.arrow")
            if "passages" not in before:
                passages.save(data)
            if self._fit_remarks:
                remarks = json.dumps(self._fit_remarks.as_dicts(), ensure_ascii=False)
                (data / "remarks.json").write_text(remarks, encoding="utf-8")
            if passages.alive is not None:
                np.save(data / "deleted.npy", np.flatnonzero(~passages.alive))
            for path, component in self.spec.walk():
                if path and f"state/{path}" not in before:
                    place = data / "state" / path
                    place.mkdir(parents=True)
                    component.save_state(place)
                    if not any(place.iterdir()):
                        place.rmdir()
        self._saved = Saved.all_of(self, data)

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
        while True:
            data, manifest = read_folder(Path(folder), Pipeline.kind, verify=verify)
            try:
                return cls._open(Path(folder), data, manifest)
            except (RagError, OSError, ValueError, LookupError) as error:
                if read_folder(Path(folder), Pipeline.kind)[0] != data:
                    continue  # a writer has replaced it meanwhile
                if isinstance(error, RagError):
                    raise
                raise ArtifactError(f"{folder}: damaged: {error}") from error

    @classmethod
    def _open(cls, folder: Path, data: Path, manifest: dict[str, Any]) -> Pipeline:
        pipeline = cls.from_yaml(data / "pipeline.yaml")
        if pipeline.fingerprint != manifest.get("fingerprint"):
            raise ArtifactError(
                f"{folder}: was built by other versions of its components than are installed now: index it again"
            )
        for path, component in pipeline.spec.walk():
            built_with = manifest.get("contents", {}).get(path)  # format 1 has none
            if built_with is not None and _content(component) not in (None, built_with):
                raise ArtifactError(
                    f"{folder}: the model of {path} ({component.spec.label}) is not the one that the index was built "
                    "with: put that one back, or index again"
                )
        corpus = Corpus.open(data / "corpus.arrow")
        if (data / "deleted.npy").is_file():
            alive = np.ones(len(corpus), dtype=bool)
            alive[np.load(data / "deleted.npy")] = False
            corpus = corpus.with_alive(alive)
        passages = Passages.load(data, corpus)
        context = FitContext(corpus, passages, first=pipeline.retriever)
        pipeline.spec.restore(data / "state", context)
        if (data / "remarks.json").is_file():
            remarks = json.loads((data / "remarks.json").read_text(encoding="utf-8"))
            pipeline._fit_remarks = Remarks(map(Remark.from_dict, remarks))
        pipeline._passages = passages
        pipeline._saved = Saved.all_of(pipeline, data, migrated=manifest["format"] < FORMAT)
        return pipeline

    # -- within -----------------------------------------------------------------------------------------------------

    def _contents(self) -> dict[str, str]:
        """Hashes of what the arguments of components point at, by place."""
        return {path: content for path, part in self.spec.walk() if path and (content := _content(part)) is not None}

    @property
    def step_names(self) -> list[str]:
        """The retriever and the stages, in order, as ledgers and traces name them."""
        return [name for name, _ in self._steps()]

    def _stage_names(self) -> list[tuple[str, Stage]]:
        return [(f"stages.{number} {stage.type}", stage) for number, stage in enumerate(self.stages)]

    def _steps(self) -> list[tuple[str, Component]]:
        return [("retriever", self.retriever), *self._stage_names()]

    def _step_keys(self, context: FitContext) -> list[str | None]:
        """For each step, the identity of what comes out of it: of itself and of the steps before it, with what they
        were fitted on. None from the first on that means nothing to another process, or without a store.
        """
        keys: list[str | None] = []
        before: str | None = ""
        for _, step in self._steps():
            if context.store is None or before is None or not step.spec.is_serializable:
                before = None
            else:
                learned = context.training_fingerprint if step.spec.learns else ""
                documents = [context.passages.fingerprint, context.corpus.fingerprint]  # filters look at metadata
                before = fingerprint([before, step.spec.cache_key, *documents, learned, context.seed])
            keys.append(before)
        return keys

    @property
    def answers_key(self) -> str | None:
        """Identity of what it answers, for things derived from its answers; None when it was not fitted through a
        store, or holds live Python objects.
        """
        return self._keys[-1] if self._keys else None

    def _remembers(self, number: int) -> bool:
        """Whether what comes out of a step hangs on judgements."""
        return any(step.spec.learns for _, step in self._steps()[: number + 1])

    def _embedder(self) -> Embedder | None:
        """The embedder whose tokens the chunker counts: the first in the tree that has any."""
        found = (one for _, one in self.spec.walk() if isinstance(one, Embedder) and one.has_tokens)
        return next(found, None)

    def _check_chunker(self) -> None:
        below = [self.retriever, *self.stages]
        embedders = (
            one for part in below for _, one in part.spec.walk() if isinstance(one, Embedder) and one.has_tokens
        )
        if self.chunker.needs_tokenizer and next(embedders, None) is None:
            raise ConfigError(
                f"chunker {self.chunker.spec.label} counts in tokens, but no embedder of this pipeline has any: "
                "set its unit to characters",
                parameter="chunker",
            )

    def _check_answers(self) -> None:
        writing = [name for name, stage in self._stage_names() if stage.writes_answers]
        if len(writing) > 1:
            raise ConfigError(
                f"a query has one answer, and {' and '.join(writing)} would each have one written and paid for",
                parameter="stages",
            )

    def _tokenizer(self) -> Tokenizer | None:
        embedder = self._embedder()
        return embedder.tokenizer() if embedder and self.chunker.needs_tokenizer else None


def _check_keep(keep: Any) -> None:
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 0):
        raise ConfigError(f"must be a whole number from 0 on, got {keep!r}", parameter="keep")


def _content(component: Component) -> str | None:
    """Hash of an embedder's content: an index is worth nothing without the very model. Nothing else is searched with
    that made the index. None also for a model that is not here: whoever needs it will say so.
    """
    if not isinstance(component, Embedder):
        return None
    try:
        content = component._model_digest()
    except (ModelError, MissingExtraError):
        return None
    return None if content is None else fingerprint(content)


def _ask(step: Component, batch: QueryBatch, before: Candidates) -> Candidates:
    if isinstance(step, Retriever):
        return step.retrieve(batch)
    assert isinstance(step, Stage)
    return step.process(batch, before)


def _query(value: Any, number: int) -> Query:
    query = Query(str(number), value) if isinstance(value, str) else value
    if not isinstance(query, Query):
        raise _no_query(value)
    if not isinstance(query.text, str) or is_blank(query.text):
        raise DataError(f"query '{query.id}' has no text")
    try:
        query.text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"query '{query.id}' holds a lone surrogate, which is no text") from None
    return query


def _no_query(value: Any) -> DataError:
    hint = ""
    if isinstance(value, Mapping):
        names = [repr(name) for name, inner in value.items() if isinstance(inner, str)]
        hint = f"; did you mean the text under {names[0]}?" if names else ""
    elif isinstance(value, (bytes, bytearray, memoryview)):
        hint = ": decode it first"
    elif isinstance(value, Set):
        hint = ": a set has no order, give a list"
    return DataError(f"a query is a text or a rag.Query, got {type(value).__name__}{hint}")


def _explanations(batch: QueryBatch, final: Candidates) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    """For each hit of the final table in row order, its score in every table of the trace, and the key that matched."""
    trace = batch.trace or {}
    rows, columns = np.nonzero(final.mask)
    span = 1 + max((int(table.positions.max(initial=0)) for table in trace.values()), default=0)
    wanted = rows * span + final.positions[rows, columns]
    found: list[dict[str, float]] = [{} for _ in rows]
    matched: list[dict[str, str]] = [{} for _ in rows]
    for name, table in trace.items():
        row, column = np.nonzero(table.mask)
        if not len(row):
            continue
        keys = row * span + table.positions[row, column]
        order = np.argsort(keys)
        places = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        hits = order[places]
        there = np.flatnonzero(keys[hits] == wanted)
        row, column = row[hits[there]], column[hits[there]]
        for number, score in zip(there.tolist(), table.scores[row, column].tolist(), strict=True):
            found[number][name] = score
        if name in batch.key_texts:
            for number, text in zip(there.tolist(), batch.key_texts[name]((row, column)), strict=True):
                matched[number][name] = text
    return found, matched
