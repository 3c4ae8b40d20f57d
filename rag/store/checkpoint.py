"""Checkpoints of a long pass, in numbered files, until its result is an artifact."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import system_message
from rag.store.writing import replaced_file

__all__ = ["Checkpoint"]

logger = logging.getLogger("rag.store")


class Checkpoint:
    """A folder of finished pieces that survives a kill, so that the pass can resume.

    Args:
        folder: The folder; created with the first piece.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_refused = False

    def get(self, piece: int, count: int) -> list[npt.NDArray[Any]] | None:
        """The arrays of a piece, or None when it is missing or damaged."""
        try:
            with (self.folder / f"{piece}.npy").open("rb") as file:
                return [np.lib.format.read_array(file, allow_pickle=False) for _ in range(count)]
        except (OSError, ValueError, EOFError, MemoryError):  # damaged in any way: it is computed again
            return None

    def put(self, piece: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Write a piece atomically. Where that fails the pass goes on, with a warning the first time."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced_file(self.folder / f"{piece}.npy") as aside, aside.open("wb") as file:
                for array in arrays:
                    np.save(file, array, allow_pickle=False)
        except OSError as error:
            if not self._is_refused:
                logger.warning(
                    "%s: cannot be written (%s): work since the last checkpoint is lost if this process is stopped",
                    self.folder,
                    system_message(error),
                )
            self._is_refused = True

    def remove(self) -> None:
        """Remove all pieces once the artifact is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
