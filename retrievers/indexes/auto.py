"""The index that fits the number of vectors, their dimension and the memory."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.candidates import Floats, Ints, Vectors
from rag.errors import NotFittedError
from rag.progress import Progress, no_progress
from rag.registry import component_class
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.flat import Flat
from rag.retrievers.indexes.hnsw import HNSW
from rag.retrievers.indexes.ivf_fastscan import IVFFastScan
from rag.retrievers.indexes.ivf_flat import IVFFlat
from rag.retrievers.indexes.rabitq import RaBitQ

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Auto", "pick"]

logger = logging.getLogger("rag.retrievers.indexes")

_SCANNED = 20_000_000
"""Values that are compared one by one in some 5 ms on one core: up to here an exact answer costs little."""


class Auto(Index):
    """Picks a family by the number of vectors, their dimension and the memory, says which and why, and is that one.

    The choice depends only on the arguments and the vectors' shape, never on the machine, so that it is the same
    everywhere. It stays when vectors are added.

    Args:
        memory_mib: What searching may hold in memory, in MiB. Full vectors that only refine candidates are mapped from
            disk and do not count.
    """

    type = "auto"
    _libraries = ("faiss-cpu",)
    can_add = True

    def __init__(self, *, memory_mib: Annotated[float, Field(gt=0)] = 4096) -> None:
        self.memory_mib = memory_mib
        self._picked: FaissIndex | None = None
        self._why = ""

    @property
    def picked(self) -> FaissIndex:
        """The index that was picked.

        Raises:
            NotFittedError: Nothing has been built.
        """
        if self._picked is None:
            raise NotFittedError.of(self)
        return self._picked

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        picked, self._why = pick(len(vectors), vectors.shape[1], self.memory_mib)
        logger.info("%s", self._why)
        picked.build(vectors, progress=progress)
        self._picked, self.build_seconds = picked, picked.build_seconds

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        return self.picked.search(vectors, k, allowed)

    def add(self, vectors: Vectors) -> None:
        grown = self.picked.spec.clone()  # others may share the old one
        grown.spec.copy_state_from(self.picked)
        grown.add(vectors)
        self._picked = grown

    def reconstruct(self, keys: Ints) -> Vectors | None:
        return self.picked.reconstruct(keys)

    @property
    def bytes(self) -> int:
        return self.picked.bytes

    def notes(self) -> tuple[str, ...]:
        return (self._why,) if self._why else ()

    def save_state(self, folder: Path) -> None:
        self.picked.save_state(folder)
        description = {"picked": self.picked.spec.to_config(), "why": self._why}
        (folder / "auto.json").write_text(json.dumps(description), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        description = json.loads((folder / "auto.json").read_text(encoding="utf-8"))
        config = dict(description["picked"])
        picked = component_class("index", config.pop("type"))(**config)
        assert isinstance(picked, FaissIndex)
        picked.load_state(folder, context)
        self._picked, self._why, self.build_seconds = picked, str(description["why"]), picked.build_seconds


def pick(n: int, dimension: int, memory_mib: float) -> tuple[FaissIndex, str]:
    """The index for n vectors, and the reason in one sentence.

    Bytes of a vector in memory are those of the families' docstrings.
    """
    shape = f"auto: {n} vectors of {dimension} dimensions"

    def mib(bytes_each: float) -> float:
        return n * bytes_each / 2**20

    full, graph = mib(4 * dimension), mib(4 * dimension + 4 * 2 * 32 + 20)
    if n * dimension <= _SCANNED and full <= memory_mib:
        return Flat(), f"{shape} are compared in milliseconds: flat, exact, {full:.1f} MiB"
    if graph <= memory_mib:
        return HNSW(), f"{shape} take {graph:.1f} MiB with a graph, within {memory_mib:g} MiB: hnsw, the fastest"
    if full <= memory_mib:
        return IVFFlat(), f"{shape} take {full:.1f} MiB and leave no room for a graph in {memory_mib:g} MiB: ivf_flat"
    codes = mib(dimension / 4 + 8)
    if codes <= memory_mib:
        return IVFFastScan(), (
            f"{shape} take {full:.1f} MiB, more than {memory_mib:g} MiB; codes of 4 bits take {codes:.1f} MiB: "
            "ivf_fastscan, refined by full vectors on disk"
        )
    bits = mib(dimension / 8 + 16)
    fits = "" if bits <= memory_mib else f", still more than {memory_mib:g} MiB, and nothing is smaller"
    return RaBitQ(), f"{shape}: codes of one bit take {bits:.1f} MiB{fits}: rabitq, refined by full vectors on disk"
