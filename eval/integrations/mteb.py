"""Pipelines in MTEB (Muennighoff et al. 2023): run by ``mteb`` itself, with its tasks, measures and result files.

::

    import mteb
    from rag.eval.integrations.mteb import PipelineSearch

    search = PipelineSearch(Pipeline.from_yaml("pipeline.yaml"), name="me/hybrid")
    mteb.evaluate(search, mteb.get_task("SciFact"))

The option ``ignore_identical_ids`` of a task is applied by mteb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rag.conversation import Turn
from rag.corpus.corpus import Corpus
from rag.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from rag.eval.datasets.base import Dataset
from rag.eval.runs.ranking import as_run
from rag.eval.searching import search_split
from rag.learning.training import Training
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.store.store import Store
from rag.types import Document, Query

if TYPE_CHECKING:
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.models.model_meta import ModelMeta

__all__ = ["PipelineSearch", "mteb_task"]

_ID = "mteb_id"
"""Metadata field that holds the ids by which a reranking task restricts the candidates."""


class PipelineSearch:
    """A pipeline as mteb's ``SearchProtocol``: ``index`` fits it on a task's corpus, ``search`` searches it.

    A title is put before the text, as everywhere in this package; a conversation stays a conversation, and an
    instruction is put after the query as in mteb. In reranking tasks each query searches only its candidates. A
    pipeline that returns fewer documents than mteb asks for (1,000) is measured on those it returns.

    Args:
        pipeline: The pipeline, fitted anew for each corpus that differs from the last one.
        name: Name in mteb's results, ``owner/model``. The revision is the pipeline's fingerprint, so that mteb's cache
            never mixes up pipelines.
        training: Judged queries for pipelines that learn; mteb provides none.
        store: Cache of what is computed; None caches nothing.
        seed: Seed of fitting.
        progress: Callback that shows the progress of fitting.

    Raises:
        ConfigError: The name is not ``owner/model``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        name: str | None = None,
        training: Training | None = None,
        store: Store | None = None,
        seed: int = 0,
        progress: Progress = no_progress,
    ) -> None:
        self.pipeline = pipeline
        self.name = name or f"rag-pipelines/{pipeline.fingerprint}"
        if len([part for part in self.name.split("/") if part]) != 2 or self.name.count("/") != 1:
            raise ConfigError(f"must be owner/model, got '{self.name}'", parameter="name")
        self.training = training
        self.store = store
        self.seed = seed
        self.progress = progress
        self._corpus: str | None = None

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """The metadata that mteb writes beside results.

        Raises:
            MissingExtraError: mteb is not installed.
        """
        _mteb("PipelineSearch")
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty({"name": self.name, "revision": self.pipeline.spec.cache_key[:32]})

    def index(self, corpus: Any, **metadata: Any) -> None:
        """Fit the pipeline on a corpus with columns ``id``, ``text`` and perhaps ``title``.

        Raises:
            DataError: The corpus has no texts.
        """
        documents = Corpus.from_documents(_documents(corpus))
        if self._corpus == documents.fingerprint:
            return  # another split of the task
        self._corpus = None
        self.pipeline.fit(documents, training=self.training, seed=self.seed, store=self.store, progress=self.progress)
        self._corpus = documents.fingerprint

    def search(
        self,
        queries: Any,
        *,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None,
        **metadata: Any,
    ) -> dict[str, dict[str, float]]:
        """Scores by document id by query id, best first, at most ``top_k`` each. Ties keep the order of the pipeline.

        Raises:
            NotFittedError: Before ``index``.
            DataError: A query has no text.
        """
        if self._corpus is None:
            raise NotFittedError("index a corpus before searching it")
        run: dict[str, dict[str, float]] = {row["id"]: {} for row in queries}
        # A query without candidates finds nothing.
        asked = [_query(row, top_ranked) for row in queries if top_ranked is None or top_ranked.get(row["id"])]
        for searched in search_split(self.pipeline, asked, store=self.store):
            run |= as_run(searched.queries, searched.candidates.head(top_k), self.pipeline.corpus)
        return run


def mteb_task(dataset: Dataset, *, split: str = "test", ignore_identical_ids: bool = False) -> AbsTaskRetrieval:
    """Make a task for ``mteb.evaluate`` from a split of a dataset, for any model.

    mteb leaves out queries without judgments. It passes negative grades to trec_eval, which may crash on grades below
    -1; they become -1.

    Args:
        dataset: Documents and judged queries.
        split: Name of the split.
        ignore_identical_ids: Leave out documents whose id is the query's.

    Raises:
        DataError: There is no such split.
        MissingExtraError: mteb is not installed.
    """
    _mteb("mteb_task")
    from datasets import Dataset as Table
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    chosen, corpus, ignored = dataset.split(split), dataset.corpus, ignore_identical_ids

    class Task(AbsTaskRetrieval):  # type: ignore[misc]
        ignore_identical_ids = ignored
        metadata = TaskMetadata(
            name="".join(c if c.isalnum() else "-" for c in f"{dataset.name}-{split}"),
            description=f"{dataset.name}, split {split}",
            dataset={"path": dataset.name, "revision": corpus.fingerprint},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=[split],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            reference=None,
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )

        def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
            if getattr(self, "data_loaded", False):
                return
            queries = [{"id": query.id, "text": query.text} for query in chosen.queries]
            data = RetrievalSplitData(
                corpus=Table.from_list(
                    [{"id": document.id, "title": "", "text": document.text} for document in corpus]
                ),
                queries=Table.from_list(queries),
                relevant_docs={
                    query: {id: max(grade, -1) for id, grade in judged.items()}
                    for query, judged in chosen.qrels.items()
                },
                top_ranked=None,
            )
            self.dataset = {"default": {split: data}}
            self.data_loaded = True

    return Task()


def _documents(corpus: Any) -> Iterator[Document]:
    if "text" not in corpus.column_names:
        raise DataError(f"a pipeline searches texts, and this corpus has only {', '.join(corpus.column_names)}")
    for row in corpus:
        title, text = row.get("title") or "", row["text"] or ""
        metadata = {_ID: row["id"]} | ({"title": title} if title else {})
        yield Document(row["id"], f"{title}\n{text}" if title and text else title or text, metadata)


def _query(row: Mapping[str, Any], top_ranked: Mapping[str, list[str]] | None) -> Query:
    id, text, instruction = row["id"], row.get("text"), row.get("instruction") or ""
    only = None if top_ranked is None else {_ID: {"in": list(top_ranked[id])}}
    if isinstance(text, list):
        turns = [
            Turn("user", turn)
            if isinstance(turn, str)
            else Turn(str(turn.get("role", "user")), str(turn.get("content", "")))
            for turn in text
        ]
        if instruction:
            turns = [Turn("user", instruction), *turns]
        return Query(id, turns=turns, filter=only)
    if not isinstance(text, str):
        raise DataError(f"a pipeline searches with texts, and query '{id}' has none")
    return Query(id, f"{text} {instruction}".strip(), filter=only)


def _mteb(name: str) -> None:
    try:
        import mteb  # noqa: F401
    except ImportError:
        raise MissingExtraError(f"rag.eval.integrations.mteb.{name}", package="mteb", extra="mteb") from None
