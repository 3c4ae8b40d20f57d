"""Artifacts as objects: the files of one, and last its manifest, which says that all are there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from rag.errors import ArtifactError
from rag.store.folder import read_folder, replace_manifest
from rag.store.shared.bucket import Bucket

__all__ = ["artifact_names", "fetch_artifact", "send_artifact"]

_KIND = "artifact"


def artifact_names(bucket: Bucket) -> set[tuple[str, str]]:
    """(kind, key) of all artifacts that are there whole."""
    parts = [name.split("/") for name in bucket.names("artifacts")]
    return {(part[1], part[2]) for part in parts if len(part) == 4 and part[3] == "manifest.json"}


def send_artifact(bucket: Bucket, kind: str, key: str, folder: Path) -> int:
    """Upload an artifact; what an interrupted upload left is not sent again. Gives the bytes sent.

    Raises:
        ArtifactError: It is damaged.
        ServerError: The bucket cannot be written.
    """
    data, manifest = read_folder(folder, _KIND, verify=True)
    prefix = f"artifacts/{kind}/{key}"
    there = bucket.names(f"{prefix}/{data.name}")
    sent = 0
    for name, entry in manifest["files"].items():
        target = f"{prefix}/{data.name}/{name}"
        if there.get(target) != entry["bytes"]:
            bucket.write(target, data / name)
            sent += entry["bytes"]
    bucket.write_new(f"{prefix}/manifest.json", json.dumps(manifest, ensure_ascii=False).encode())
    return sent


def fetch_artifact(bucket: Bucket, kind: str, key: str, folder: Path) -> bool:
    """Download an artifact into a folder of a store; what an interrupted download left is not fetched again. Whether it
    is there.

    Args:
        bucket: The bucket.
        kind: Of the artifact.
        key: Of the artifact.
        folder: Where it belongs; its writer must be alone.

    Raises:
        ArtifactError: What is there is damaged.
        ServerError: The bucket cannot be read.
    """
    prefix = f"artifacts/{kind}/{key}"
    text = bucket.read(f"{prefix}/manifest.json")
    if text is None:
        return False
    try:
        manifest = json.loads(text)
        data, files = str(manifest["data"]), dict(manifest["files"])
        if "/" in data or any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{bucket}/{prefix}/manifest.json is damaged: remove it") from None
    for name, entry in files.items():
        path = folder / data / name
        if not (path.is_file() and path.stat().st_size == entry["bytes"] and _sha256(path) == entry["sha256"]):
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket.download(f"{prefix}/{data}/{name}", path)
            if _sha256(path) != entry["sha256"]:
                shutil.rmtree(folder / data, ignore_errors=True)
                raise ArtifactError(
                    f"{bucket}/{prefix}/{data}/{name} is damaged: its checksum is not that of the manifest"
                )
        if "time" in entry:  # so that it is known to be as it was without computing checksums
            os.utime(path, ns=(entry["time"], entry["time"]))
    (folder / data).mkdir(parents=True, exist_ok=True)
    replace_manifest(folder, {name: value for name, value in manifest.items() if name not in ("keep", "earlier")})
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
