"""The pipeline: a chunker, a retriever and stages, fitted on a corpus and asked in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from rag import updates
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.component import Component
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
from rag.stage import Retriever, Stage
from rag.store.fingerprint import fingerprint
from rag.store.folder import FORMAT, read_folder, write_folder
from rag.store.lists import kept_step
from rag.store.store import Store
from rag.types import Hit, Query, SearchResult
from rag.updates import COMPACT_AT, Changes, Saved

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rag.langchain import PipelineRetriever

__all__ = ["Pipeline"]

logger = logging.getLogger("rag.pipeline")


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
        self._keys: list[str | None] = []  # of what comes out of each step
        self._saved: Saved | None = None

        self._check_chunker()
        self._check_answers()

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
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

        return dump(self.to_config())

    # -- fitting ----------------------------------------------------------------------------------------------------

    def fit(  # type: ignore[override]
        self,
        corpus: Any,
        *,
        training: Training | None = None,
        progress: Progress = no_progress,
        seed: int = 0,
        store: Store | str | Path | None = None,
    ) -> Pipeline:
        """Chunk, embed and index the documents, and let components learn.

        Args:
            corpus: A :class:`Corpus`, or anything :func:`rag.corpus.read_corpus` reads.
            training: Judged queries, for components that learn.
            progress: Shows how far it is.
            seed: For everything random.
            store: Where what is built is kept, and found when the same is built again: a store, or its folder. None
                keeps nothing.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: A component needs training data and there are none; said before any work.
            DataError: The corpus cannot be used.
        """
        if store is not None and not isinstance(store, Store):
            store = Store(store)
        for path, component in self.walk():
            if "training" in component.needs and training is None:
                raise ConfigError(
                    f"{path} ({component.label()}) learns from judged training queries: none were given (rag eval has "
                    "those of a dataset's train split; --save keeps what it fitted)"
                )
        ledger = Ledger()
        with ledger.stage("corpus"):
            corpus = read_corpus(corpus)
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

    # -- keeping current --------------------------------------------------------------------------------------------

    def add(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
    ) -> Changes:
        """Add documents, or replace those whose ids are known. What did not change is skipped.

        Either all of it happens or, when an error is raised, nothing. Not while another thread searches.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: Rewrite everything without deleted documents when more than this fraction of the passages is
                theirs: until then they take room and some time in a search.

        Raises:
            DataError: The documents cannot be used, or a metadata field holds another kind of value than before.
        """
        return updates.add(self, documents, store=store, progress=progress, compact_at=compact_at)

    def delete(
        self,
        ids: Iterable[str],
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
    ) -> Changes:
        """Remove documents by id; ids that are not there are reported in the result. See :meth:`add`.

        Raises:
            DataError: No document would be left.
        """
        return updates.delete(self, ids, store=store, progress=progress, compact_at=compact_at)

    def sync(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        dry_run: bool = False,
    ) -> Changes:
        """Make it hold these documents and no others: adds, replaces and deletes what differs. See :meth:`add`.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: As for :meth:`add`.
            dry_run: Only count what would be done.
        """
        return updates.sync(self, documents, store=store, progress=progress, compact_at=compact_at, dry_run=dry_run)

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
        parts = [(path, part) for path, part in self.walk() if isinstance(part, Remembers)]
        if not parts:
            raise ConfigError("no part of this pipeline remembers judgements: it takes a query_memory")
        changed = max(part.add_judgements(judged, weight=weight) for _, part in parts)
        self._keys = []  # what it finds has another identity now
        if self._saved is not None:
            rest = self._saved.as_before - {f"state/{path}" for path, _ in parts}
            self._saved = replace(self._saved, as_before=rest)
        return changed

    def compact(self, *, store: Store | str | Path | None = None, progress: Progress = no_progress) -> Changes:
        """Rewrite everything without the deleted documents."""
        return updates.compact(self, store=store, progress=progress)

    @staticmethod
    def editing(folder: str | Path) -> AbstractContextManager[Pipeline]:
        """A saved pipeline, to be changed and saved on leaving, unless an error was raised. Nobody else writes to the
        folder meanwhile; a second one waits::

            with Pipeline.editing("index") as pipeline:
                pipeline.add(documents)
        """
        return updates.editing(Path(folder))

    def stale(self) -> str | None:
        # An embedder that two parts share is named once, where it is first.
        found = {part.fingerprint: (path, part, part.stale()) for path, part in reversed(list(self.walk())) if path}
        said = [f"{path} ({part.label()}) was {why}" for path, part, why in reversed(found.values()) if why]
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
        if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
            raise ConfigError(f"must be a whole number from 1 on, got {top_k!r}", parameter="top_k")
        single = isinstance(query, (str, Query)) or not isinstance(query, Iterable)
        asked: Sequence[Any] = [query] if single else query  # type: ignore[assignment]
        queries = [_query(one, number) for number, one in enumerate(asked)]
        if filter is not None:
            queries = [query if query.filter is not None else replace(query, filter=filter) for query in queries]
        batch = QueryBatch(queries, trace={} if explain else None, answers={} if answer else None)
        candidates = self.run(batch)
        if top_k is not None:
            candidates = candidates.head(top_k)
        results = self.results(batch, candidates)
        return results[0] if single else results

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
        for number, (name, step) in enumerate(self._steps()[:n_steps]):
            key = self._keys[number] if self._keys else None
            if key is not None and batch.unseen is not None and self._remembers(number):
                key = fingerprint([key, batch.unseen.fingerprint])
            kept = batch.store is not None and all(getattr(part, "keeps_lists", True) for _, part in step.walk())
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
            text = document.text[start:end]
            metadata = passages.metadata.get(passage, {})
            hits[row].append(Hit(document, score, text, start, end, metadata, explanations[number], keys[number]))
        return [
            SearchResult(query, tuple(h), costs, batch.answer_to(query))
            for query, h in zip(batch.queries, hits, strict=True)
        ]

    def as_langchain_retriever(self, **kwargs: Any) -> PipelineRetriever:
        """This pipeline as a LangChain retriever. See :class:`rag.langchain.PipelineRetriever` for the arguments."""
        from rag.langchain import PipelineRetriever

        return PipelineRetriever(pipeline=self, **kwargs)

    # -- keeping ----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write everything needed to answer into one folder; an older pipeline there is replaced in one step.

        Raises:
            ArtifactError: The folder holds other things or cannot be written.
            ConfigError: The pipeline holds a Python object that no file can name.
        """
        passages = self.passages
        config = self.to_yaml()
        about = {
            "fingerprint": self.fingerprint,
            "documents": self.corpus.n_alive,
            "version": version("rag-pipelines"),
            "contents": self._contents(),
        }
        with write_folder(Path(folder), Pipeline.kind, about) as data:
            before = self._saved.linked_into(data) if self._saved else frozenset()
            (data / "pipeline.yaml").write_text(config, encoding="utf-8")
            if "corpus" not in before:
                passages.corpus.write(data / "corpus.arrow")
            if "passages" not in before:
                passages.save(data)
            if passages.alive is not None:
                np.save(data / "deleted.npy", np.flatnonzero(~passages.alive))
            for path, component in self.walk():
                if path and f"state/{path}" not in before:
                    place = data / "state" / path
                    place.mkdir(parents=True)
                    component.save_state(place)
                    if not any(place.iterdir()):
                        place.rmdir()
        self._saved = Saved.all_of(self, data)

    @classmethod
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
        for path, component in pipeline.walk():
            built_with = manifest.get("contents", {}).get(path)  # format 1 has none
            if built_with is not None and _content(component) not in (None, built_with):
                raise ArtifactError(
                    f"{folder}: the model of {path} ({component.label()}) is not the one that the index was built "
                    "with: put that one back, or index again"
                )
        corpus = Corpus.open(data / "corpus.arrow")
        if (data / "deleted.npy").is_file():
            alive = np.ones(len(corpus), dtype=bool)
            alive[np.load(data / "deleted.npy")] = False
            corpus = corpus.with_alive(alive)
        passages = Passages.load(data, corpus)
        context = FitContext(corpus, passages, first=pipeline.retriever)
        pipeline.restore(data / "state", context)
        pipeline._passages = passages
        pipeline._saved = Saved.all_of(pipeline, data, migrated=manifest["format"] < FORMAT)
        return pipeline

    # -- within -----------------------------------------------------------------------------------------------------

    def _contents(self) -> dict[str, str]:
        """Hashes of what the arguments of components point at, by place."""
        return {path: content for path, part in self.walk() if path and (content := _content(part)) is not None}

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
            if context.store is None or before is None or not step.is_lasting:
                before = None
            else:
                learned = context.training_fingerprint if any("training" in p.needs for _, p in step.walk()) else ""
                documents = [context.passages.fingerprint, context.corpus.fingerprint]  # filters look at metadata
                before = fingerprint([before, step.content_fingerprint, *documents, learned, context.seed])
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
        return any("training" in part.needs for _, step in self._steps()[: number + 1] for _, part in step.walk())

    def _embedder(self) -> Embedder | None:
        """The embedder whose tokens the chunker counts: the first in the tree that has any."""
        found = (one for _, one in self.walk() if isinstance(one, Embedder) and one.has_tokens)
        return next(found, None)

    def _check_chunker(self) -> None:
        below = [self.retriever, *self.stages]
        embedders = (one for part in below for _, one in part.walk() if isinstance(one, Embedder) and one.has_tokens)
        if self.chunker.needs_tokenizer and next(embedders, None) is None:
            raise ConfigError(
                f"chunker {self.chunker.label()} counts in tokens, but no embedder of this pipeline has any: "
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


def _content(component: Component) -> str | None:
    """Hash of an embedder's content: an index is worth nothing without the very model. Nothing else is searched with
    that made the index. None also for a model that is not here: whoever needs it will say so.
    """
    if not isinstance(component, Embedder):
        return None
    try:
        content = component.content()
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
        raise DataError(f"a query is a text or a rag.Query, got {type(value).__name__}")
    if not isinstance(query.text, str) or not query.text.strip():
        raise DataError(f"query '{query.id}' has no text")
    try:
        query.text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"query '{query.id}' holds a lone surrogate, which is no text") from None
    return query


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
