"""The contract of what lies on a server as rows: passages with their vectors or texts, and the documents' fields."""

from __future__ import annotations

import json
import logging
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.component import HoldsElsewhere
from rag.conditions import Condition
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.errors import ArtifactError, DataError, NotFittedError
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.remote.fields import Layout
from rag.retrievers.indexes.remote.rows import Held
from rag.retrievers.indexes.remote.writing import Writer
from rag.types import Document

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["HoldsRows", "Reader", "RemoteIndex"]

logger = logging.getLogger("rag.retrievers.indexes")


class Reader(Protocol):
    """A generation that is open."""

    held: Held[Any]

    def open(self) -> None:
        """Connect.

        Raises:
            ServerError: The server cannot be reached.
            ArtifactError: The generation is not there.
        """

    def search(self, queries: Any, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        """Best keys int64 [q, k'] and scores float32, best first, among the passages of documents that pass a
        condition. A list shorter than k says that no more pass.

        Raises:
            DataError: The condition names a field that no document has, or another kind of value than it holds.
            ServerError: The server cannot be reached, or refuses.
            ArtifactError: What it answers cannot be.
        """
        ...

    def search_among(self, queries: Any, k: int, rows: Ints) -> tuple[Ints, Floats]:
        """The same among given rows."""
        ...

    def vectors(self, rows: Ints) -> Vectors:
        """Vectors of rows, as they are stored, float32 [n, d].

        Raises:
            ArtifactError: A row is not there.
        """
        ...

    def bytes(self) -> int:
        """Size on the server, as far as it says."""
        ...

    def verify(self) -> None:
        """Read all rows and compare them with the written hashes.

        Raises:
            ArtifactError: Rows are missing, were added or changed.
        """

    def is_given_up(self) -> bool:
        """Whether a folder gave up the generation, so that a writer will remove it."""
        ...


class HoldsRows(HoldsElsewhere):
    """A component whose passages lie on a server: only those that may be found, with a text, of documents that were not
    deleted.

    What lies there is a generation: it never changes once it is written, so whoever opened it finds what was there,
    whatever a writer does. Positions are known here only; a row has a number of its own there.
    """

    build_seconds: float = 0.0
    _reader: Any = None

    def _hold(self, passages: Passages, contents: Any, progress: Progress) -> None:
        start = time.perf_counter()
        self._writer().build(passages, contents, progress, self._opened)
        self.build_seconds = time.perf_counter() - start

    def change(
        self,
        old: Passages,
        new: Passages,
        kept: Ints,
        came: Any,
        *,
        relabeled: bool = True,
        progress: Progress = no_progress,
    ) -> bool:
        """Write a generation that holds other passages.

        Args:
            old: Passages of this index.
            new: What the next holds: of the old ones those that are ``kept``, in order, then new ones.
            kept: Positions in the old table.
            came: Vectors, or texts, of the new ones; None for none.
            relabeled: Whether metadata of documents that stay may have changed.
            progress: Shows how far it is.

        Returns:
            Whether what is to be saved has changed.

        Raises:
            DataError: Vectors or fields that the server does not take.
            ServerError: The server cannot be reached, or refuses.
        """
        held = self._fitted().held
        changed = self._writer().change(
            held, old, new, kept, came, relabeled=relabeled, progress=progress, opened=self._opened
        )
        if changed is not None and changed.generation == held.generation:
            self._opened(changed)
        return changed is not None

    def save_state(self, folder: Path) -> None:
        held = self._fitted().held
        np.save(folder / "rows.npy", held.ids)
        np.save(folder / "hashes.npy", held.hashes)
        state = {
            "type": self.type,
            "table": self._name,
            "generation": asdict(held.generation),
            "layout": asdict(held.layout),
            "build_seconds": self.build_seconds,
        }
        (folder / "elsewhere.json").write_text(json.dumps(state), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "elsewhere.json").read_text(encoding="utf-8"))
        ids, hashes = (np.load(folder / name, mmap_mode="r") for name in ("rows.npy", "hashes.npy"))
        if len(ids) != len(context.passages):
            raise ArtifactError(f"{folder}: has {len(ids)} rows for {len(context.passages)} passages")
        self.build_seconds = float(state["build_seconds"])
        self._opened(Held(self._generation(state["generation"]), Layout(**state["layout"]), ids, hashes))

    def keep_elsewhere(self) -> None:
        self._writer().keep(self._fitted().held.generation)

    def give_up_elsewhere(self, states: Sequence[Mapping[str, Any]]) -> None:
        given_up = [self._generation(state["generation"]) for state in states if state["table"] == self._name]
        if given_up:
            self._writer().give_up(given_up)

    def verify_elsewhere(self) -> None:
        reader = self._fitted()
        reader.verify()
        if reader.is_given_up():
            logger.warning(
                "%s: the folder that its rows were written from has given them up, so they will be removed: this is a "
                "copy of it, which gets rows of its own when it is next written to",
                self.spec.label,
            )

    # -- hooks --------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _name(self) -> str:
        """Name of the table, as the user wrote it."""

    @abstractmethod
    def _writer(self) -> Writer[Any]:
        """What writes."""

    @abstractmethod
    def _reading(self, held: Held[Any]) -> Reader:
        """What reads a generation, not yet connected."""

    @abstractmethod
    def _generation(self, state: Mapping[str, Any]) -> Any:
        """A generation as it was saved."""

    def _opened(self, held: Held[Any]) -> None:
        reader = self._reading(held)
        reader.open()
        self._reader = reader

    def _fitted(self) -> Any:
        if self._reader is None:
            raise NotFittedError(f"{self.spec.label} has not been built: fit the pipeline it is in first")
        return self._reader


class RemoteIndex(HoldsRows, Index):
    """An index that is told conditions instead of positions."""

    pushes_down = True

    def hold(self, passages: Passages, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        """Write all passages that may be found, with their vectors, float32 [n, d], as a new generation.

        Raises:
            DataError: Vectors or fields that the server does not take.
            ServerError: The server cannot be reached, or refuses.
        """
        self._hold(passages, vectors, progress)

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        corpus = Corpus.from_documents(Document(str(n), "-") for n in range(len(vectors)))
        self.hold(Passages.whole(corpus), vectors, progress=progress)

    def search_where(self, vectors: Vectors, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        """Nearest keys among the passages of documents that pass a condition, as :meth:`search`. A list shorter than k
        says that no more pass.

        Raises:
            DataError: The condition names a field that no document has, or another kind of value than it holds.
            ServerError: The server cannot be reached, or refuses.
            ArtifactError: What it answers cannot be.
        """
        return self._fitted().search(self._checked(vectors), k, condition)  # type: ignore[no-any-return]

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        if allowed is None:
            return self.search_where(vectors, k, None)
        rows = self._fitted().held.ids[allowed]
        return self._fitted().search_among(self._checked(vectors), k, rows[rows >= 0])  # type: ignore[no-any-return]

    def reconstruct(self, keys: Ints) -> Vectors | None:
        reader = self._fitted()
        if not self._keeps_vectors:
            return None
        rows = reader.held.ids[keys]
        vectors = np.zeros((len(keys), reader.held.generation.dimension), dtype=np.float32)
        vectors[rows >= 0] = reader.vectors(rows[rows >= 0])
        return vectors

    @property
    def bytes(self) -> int:
        return self._fitted().bytes()  # type: ignore[no-any-return]

    @property
    def _keeps_vectors(self) -> bool:
        """Whether the server keeps vectors as they were given."""
        return True

    def _checked(self, vectors: Vectors) -> Vectors:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        dimension = self._fitted().held.generation.dimension
        if vectors.shape[1] != dimension:
            raise DataError(f"the queries' vectors have {vectors.shape[1]} dimensions, the index has {dimension}")
        if not np.isfinite(vectors).all():
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            raise DataError(
                f"index '{self.type}': {len(bad)} of {len(vectors)} queries' vectors have NaN or infinite values, the "
                f"first is row {bad[0]}"
            )
        return vectors
