"""Bringing a whole store to a bucket, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag.progress import Progress, no_progress
from rag.store.key_value_cache import KeyValueCache
from rag.store.shared.artifacts import artifact_names, fetch_artifact, send_artifact
from rag.store.shared.bucket import Bucket
from rag.store.shared.parts import Parts, value_names
from rag.store.store import Store

__all__ = ["Transferred", "pull", "push"]


@dataclass
class Transferred:
    """What was brought.

    Args:
        artifacts: Number of artifacts.
        values: Number of values.
        there: Artifacts that were there before.
    """

    artifacts: int = 0
    values: int = 0
    there: int = 0


def push(store: Store, bucket: Bucket, *, progress: Progress = no_progress) -> Transferred:
    """Upload what the bucket has not. Interrupted, it goes on where it stopped.

    Raises:
        ArtifactError: Something in the store is damaged.
        ServerError: The bucket cannot be written.
    """
    done = Transferred()
    there = artifact_names(bucket)
    folders = sorted(path.parent for path in store.root.glob("artifacts/*/*/manifest.json"))
    files = sorted(path for path in store.root.glob("values/*/*.sqlite") if ".damaged" not in path.name)
    parts_there = value_names(bucket)
    with progress("uploading", len(folders) + len(files)) as advance:
        for folder in folders:
            kind, key = folder.parent.name, folder.name
            if (kind, key) in there:
                done.there += 1
            else:
                send_artifact(bucket, kind, key, folder)
                done.artifacts += 1
            advance(1)
        for path in files:
            kind, key = path.parent.name, path.stem
            values = _values(store, kind, key, KeyValueCache.about(path))
            parts = Parts(bucket, store.root, kind, key)
            parts.pull(values, parts_there.get((kind, key), []))  # so that nothing is there twice
            done.values += parts.push(values)
            values.close()
            advance(1)
    return done


def pull(bucket: Bucket, store: Store, *, progress: Progress = no_progress) -> Transferred:
    """Download what the store has not. Interrupted, it goes on where it stopped.

    Raises:
        ArtifactError: Something in the bucket is damaged; what is whole was fetched before it.
        ServerError: The bucket cannot be read.
    """
    done = Transferred()
    names, parts_there = sorted(artifact_names(bucket)), value_names(bucket)
    with progress("downloading", len(names) + len(parts_there)) as advance:
        for kind, key in names:
            if store.has(kind, key):
                done.there += 1
            else:
                with store.making(key):
                    fetch_artifact(bucket, kind, key, store.root / "artifacts" / kind / key)
                done.artifacts += 1
            advance(1)
        for (kind, key), parts in parts_there.items():
            own = Parts(bucket, store.root, kind, key)
            values = _values(store, kind, key, own.description(parts[0]))
            done.values += own.pull(values, parts)
            values.close()
            advance(1)
    return done


def _values(store: Store, kind: str, key: str, description: str) -> KeyValueCache:
    path: Path = store.root / "values" / kind / f"{key}.sqlite"
    return KeyValueCache(path, description=description, lock=lambda: store.making(key))
