"""The context of fitting: documents, passages, training data, and a memory of fitted components."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.batch import QueryBatch
from rag.candidates import Candidates, Vectors
from rag.component import Component, Need
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
from rag.fitting.artifacts import Artifacts
from rag.fitting.training import TrainingRuns, Upstream
from rag.fitting.vectors import PassageVectors
from rag.learning.training import Training
from rag.learning.unseen import LeaveOut, Unseen
from rag.progress import Progress, no_progress
from rag.remarks import Remark, Remarks
from rag.store.fingerprint import fingerprint
from rag.store.store import Store
from rag.types import Document, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.stage import Retriever
    from rag.store.checkpoint import Checkpoint

__all__ = ["FitContext"]

_Identity = tuple[str, "int | None"]
"""A component's fingerprint, and the number of steps before it where its state depends on them."""


@dataclass
class FitContext:
    """The context passed down the tree by ``fit``.

    Args:
        corpus: The documents.
        passages: The passages made by the chunker, which are indexed.
        training: Judged queries, for components that learn.
        ledger: Costs of fitting, by stage.
        progress: Callback that shows progress.
        seed: Seed of all random draws.
        store: Cache of everything that is built; None caches nothing.
        reused: Names of artifacts reused from the store.
        first: The retriever of the pipeline, for components after it that use parts of it; None outside a pipeline, and
            over other passages than its own.
        remarks: Remarks on what was cut or left out.
    """

    corpus: Corpus
    passages: Passages
    training: Training | None = None
    ledger: Ledger = field(default_factory=Ledger)
    progress: Progress = no_progress
    seed: int = 0
    store: Store | None = None
    reused: list[str] = field(default_factory=list)
    first: Retriever | None = None
    remarks: Remarks = field(default_factory=Remarks)
    _unit: str = "passages"
    """Name of the fitted texts in messages."""
    _fitted: dict[_Identity, Component] = field(default_factory=dict)
    _unfinished: list[Checkpoint] = field(default_factory=list)
    _artifacts: Artifacts = field(init=False)
    _runs: TrainingRuns = field(init=False)
    _vectors: PassageVectors = field(init=False)

    def __post_init__(self) -> None:
        self._artifacts = Artifacts(self.store, self.ledger, self.remarks, self.reused)
        self._runs = TrainingRuns(self.training, self.corpus, self.ledger, self.store)
        self._vectors = PassageVectors(
            self.passages, self.store, self.ledger, self.progress, self.note, self._unit, self._unfinished
        )

    # -- fitting ----------------------------------------------------------------------------------------------------

    def fit(self, component: Component) -> None:
        """Fit a component, or give it the state of an identical one fitted before, here or in the store."""
        identity = self._identity(component)
        twin = self._fitted.get(identity)
        if twin is None:
            self._fit_first(component)
            self._fitted[identity] = component
        elif twin is not component:
            self._share(component, twin)

    def cached_fit(
        self, component: Component, make: Callable[[], None], *, inputs: Mapping[str, Component | str] | None = None
    ) -> None:
        """Have ``make`` build a component's state, or load it from the store if it was built before; in that case its
        child components are fitted first.

        Args:
            component: The component that saves and loads the state.
            make: Function that builds it.
            inputs: Further inputs besides the passages, the training data and the seed.
        """
        upstream = self._runs.upstream
        unnamed = upstream is not None and upstream.key is None and _needs(component, "candidates")
        if self.store is None or unnamed or not all(part.spec.is_serializable for part in _made_of(component, inputs)):
            make()
            return

        def load(folder: Path) -> None:
            for _, child in component.spec.children():
                self.fit(child)
            component.load_state(folder, self)

        description = f"{component!r} on {len(self.passages)} passages"
        self._artifacts.cached_fit(component, self._key(component, inputs), description, make, load)

    def is_cached(self, component: Component) -> bool:
        """Whether :meth:`fit` would find the component's state in the store."""
        return (
            self.store is not None
            and component.spec.is_serializable
            and self.store.has(component.kind, self._key(component, None))
        )

    @property
    def n_kept(self) -> int:
        """Number of passages that were indexed before; a component needs to look only at those after them."""
        return 0

    def note(self, remark: Remark) -> None:
        """Add a remark on the component being fitted; logged once."""
        self._artifacts.note(remark)

    def finish(self) -> None:
        """Remove checkpoints after everything is fitted and saved."""
        for pieces in self._unfinished:
            pieces.remove()
        self._unfinished.clear()

    def _fit_first(self, component: Component) -> None:
        """Fit a component that has no identical one here."""
        if component.spec.caches_state:
            self.cached_fit(component, lambda: component.fit(self))
        else:
            component.fit(self)

    def _share(self, component: Component, twin: Component) -> None:
        """Give a component the state of an identical one."""
        component.spec.copy_state_from(twin)

    def _identity(self, component: Component) -> _Identity:
        # A component that learns from candidates depends on the steps before it: their number is part of its identity.
        return component.fingerprint, self._runs.n_before if _needs(component, "candidates") else None

    def _key(self, component: Component, inputs: Mapping[str, Component | str] | None) -> str:
        learned = self.training_fingerprint if any(part.spec.learns for part in _made_of(component, inputs)) else ""
        identities = {k: v if isinstance(v, str) else v.spec.cache_key for k, v in (inputs or {}).items()}
        before = self._runs.upstream
        upstream = before.key if before and _needs(component, "candidates") else None
        return fingerprint(
            [component.spec.cache_key, self.passages.fingerprint, learned, self.seed, identities, upstream]
        )

    # -- vectors ----------------------------------------------------------------------------------------------------

    def embed_passages(self, embedder: Embedder, *, start: int = 0) -> Vectors:
        """Vectors of all passages by this embedder, or of those from a position on, float32 [n - start, d]; computed
        once for all components.

        Raises:
            ModelError: The embedder returned NaN or infinite values.
        """
        return self._vectors.embed(embedder, start)

    def embed_passage_tokens(self, embedder: TokenEmbedder, *, start: int = 0) -> TokenVectors:
        """Vectors of all tokens of all passages by this embedder, or of those from a position on, float16; computed
        once for all components, in the same pass as :meth:`embed_passages`. With a store, an interrupted pass resumes
        where it stopped.
        """
        return self._vectors.embed_tokens(embedder, start)

    def embed_texts(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that are not passages, embedded as documents, float32 [n, d]; from the store if cached."""
        corpus = Corpus.from_documents(Document(str(index), text) for index, text in enumerate(texts))
        return self.for_passages(Passages.whole(corpus)).embed_passages(embedder)

    # -- training data ----------------------------------------------------------------------------------------------

    def following(self, upstream: Upstream) -> None:
        """Declare the pipeline steps before the components fitted from now on."""
        self._runs.following(upstream)

    @property
    def upstream_key(self) -> str:
        """Identity of the steps before the one being fitted; empty where there are none, or it is unknown."""
        upstream = self._runs.upstream
        return (upstream.key if upstream else None) or ""

    def training_run(self, leave_out: LeaveOut = "duplicates") -> tuple[QueryBatch, Candidates]:
        """The training queries, and the results of the steps before the one being fitted, each as if neither the query
        nor those that ``leave_out`` names had ever been judged; computed once, and cached in the store.
        """
        return self._runs.of_training(leave_out)

    def dev_run(self) -> tuple[QueryBatch, Candidates] | None:
        """The same for :attr:`Training.dev`, which nothing learned from; None without such queries."""
        return self._runs.of_dev()

    def run_of(self, queries: Sequence[Query]) -> tuple[QueryBatch, Candidates] | None:
        """Any queries, and the results of the steps before the one being fitted; None outside a pipeline."""
        return self._runs.of(queries)

    def training_batch(self) -> QueryBatch:
        """The training queries for a part of a retriever that learns from other parts: each query is answered as if
        neither it nor duplicates of it had ever been judged. All callers share the batch.
        """
        return self._runs.batch()

    def unseen(self, leave_out: LeaveOut = "duplicates") -> Unseen:
        """The judgments that each training query must not see."""
        return self._runs.unseen(leave_out)

    @property
    def training_fingerprint(self) -> str:
        """Hash of the training queries and judgments, and of the ids and metadata that judgments and filters refer to;
        empty without any.
        """
        return self._runs.fingerprint

    # -- other passages ---------------------------------------------------------------------------------------------

    def for_passages(self, passages: Passages, shared: Iterable[Component] = (), *, stored: bool = True) -> FitContext:
        """The same context over other passages, such as keys, with separate states.

        Args:
            passages: The passages to fit on.
            shared: Components fitted here that are used there unchanged.
            stored: Whether the store may cache states fitted there.
        """
        inner = FitContext(**self._fields_over(passages, shared, stored))
        self._share_rooms(inner)
        return inner

    def _fields_over(self, passages: Passages, shared: Iterable[Component], stored: bool) -> dict[str, Any]:
        return {
            "corpus": passages.corpus,
            "passages": passages,
            "training": self.training,
            "ledger": self.ledger,
            "progress": self.progress,
            "seed": self.seed,
            "store": self.store if stored else None,
            "reused": self.reused,
            "remarks": self.remarks,
            "_unit": "keys",
            "_fitted": {(component.fingerprint, None): component for component in shared},
            "_unfinished": self._unfinished,
        }

    def _share_rooms(self, inner: FitContext) -> None:
        """Let another context see the steps before, and add remarks to the artifacts being built here."""
        inner._runs = self._runs.elsewhere(inner.corpus, inner.store)
        inner._artifacts = self._artifacts.elsewhere(inner.store)


def _made_of(component: Component, inputs: Mapping[str, Component | str] | None) -> list[Component]:
    return [component, *(part for part in (inputs or {}).values() if not isinstance(part, str))]


def _needs(component: Component, need: Need) -> bool:
    return any(need in part.needs for _, part in component.spec.walk())
