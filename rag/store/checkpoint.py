"""What a long pass has done so far, in numbered files, until all of it is in an artifact."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.store.writing import replaced_file

__all__ = ["Checkpoint"]


class Checkpoint:
    """A folder that outlasts a kill; who goes on with the pass finds what was done.

    Args:
        folder: Where; not made before there is a piece.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, number: int, count: int) -> list[npt.NDArray[Any]] | None:
        """The arrays of a piece, or None when it is not there, whole and readable."""
        try:
            with (self.folder / f"{number}.npy").open("rb") as file:
                return [np.lib.format.read_array(file, allow_pickle=False) for _ in range(count)]
        except (OSError, ValueError, EOFError, MemoryError):  # damaged in any way: it is done again
            return None

    def put(self, number: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Keep a piece: it is there whole or not at all. A full disk is no reason to stop."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced_file(self.folder / f"{number}.npy") as aside, aside.open("wb") as file:
                for array in arrays:
                    np.save(file, array, allow_pickle=False)

    def remove(self) -> None:
        """All of it is somewhere else now."""
        shutil.rmtree(self.folder, ignore_errors=True)
