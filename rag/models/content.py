"""The identity of a model's files."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from rag.models.names import model_file, resolve_model, unloadable

__all__ = ["model_content"]

_WHOLE = 1 << 28
"""Files up to this many bytes are hashed whole: a fraction of a second."""

_SAMPLES, _SAMPLE = 256, 1 << 14
"""Of larger ones, so many pieces of so many bytes, evenly spread from the first byte to the last."""


@functools.cache
def model_content(name: str, revision: str | None) -> str:
    """Identity of a model's files, without loading it: the commit on the Hub, or a hash over the files of a folder (of
    large ones the size and 256 samples).

    Raises:
        ModelError: There is no such model here and it cannot be fetched.
    """
    folder = Path(resolve_model(name))
    if folder.is_dir():
        digest = hashlib.sha256()
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(_file_content(path))
        return digest.hexdigest()
    for file in ("config.json", "modules.json"):
        cached = model_file(name, file, revision)
        if cached is not None:
            return cached.parent.name  # .../snapshots/COMMIT/config.json
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(name, revision=revision).sha)
    except Exception as error:  # the Hub's client raises many kinds
        raise unloadable(name, error) from error


def _file_content(path: Path) -> bytes:
    if path.stat().st_size <= _WHOLE:
        return hashlib.sha256(path.read_bytes()).digest()
    # Not the time of change: a model that was copied is the same. Training changes numbers everywhere.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for sample in range(_SAMPLES):
            file.seek((path.stat().st_size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return digest.digest()
