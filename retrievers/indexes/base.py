"""The contract of vector indexes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from rag.candidates import Floats, Ints, Vectors
from rag.component import Component
from rag.progress import Progress, no_progress

__all__ = ["Index"]


class Index(Component):
    """Finds the vectors with the largest inner products. Keys are row numbers of what it was built from."""

    kind: ClassVar[str] = "index"

    can_add: ClassVar[bool] = False
    """Whether :meth:`add` works. An index that cannot is built again."""

    pushes_down: ClassVar[bool] = False
    """Whether it is given conditions instead of positions (:class:`rag.retrievers.indexes.remote.RemoteIndex`)."""

    build_seconds: float = 0.0
    """How long :meth:`build` took, also after loading."""

    @abstractmethod
    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        """Index vectors, float32 [n, d].

        Raises:
            DataError: No vectors, or some with values that are not finite.
        """

    @abstractmethod
    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        """Nearest keys int64 [q, k'] (-1 padding) and inner products float32 [q, k'], best first, k' <= k.

        Args:
            vectors: Queries, float32 [q, d].
            k: Keys wanted for each.
            allowed: Keys that may be returned, ascending int64 [m], or a window of keys as a slice. With it every query
                gets exactly min(k, m) keys. A read-only array that is passed again is prepared only once.

        Raises:
            DataError: Another dimension than the index has, values that are not finite, or keys that do not exist.
        """

    def add(self, vectors: Vectors) -> None:
        """Append vectors, float32 [m, d]; their keys follow the last one. An index that shares its state with this one
        is not changed.

        Raises:
            DataError: As :meth:`build`, or the index cannot grow (see :attr:`can_add`).
        """
        raise NotImplementedError(f"{self.spec.label} cannot grow: look at can_add first")

    def reconstruct(self, keys: Ints) -> Vectors | None:
        """The original vectors of these keys, float32 [n, d]; None if the index does not keep them."""
        return None

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Size of what is saved, in bytes: codes, links, and full vectors where it has them."""
