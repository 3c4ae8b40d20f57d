"""Save and load pipelines as folders with everything needed to answer."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rag.component import Component
from rag.config import dump, load_component
from rag.corpus.passages import Passages
from rag.corpus.readers.saved import saved_corpus
from rag.embedders.base import Embedder
from rag.embedders.sparse import SparseEmbedder
from rag.errors import ArtifactError, ConfigError, MissingExtraError, ModelError, RagError
from rag.fitting import FitContext
from rag.pipeline.base import PipelineBase
from rag.pipeline.elsewhere import Elsewhere, held_elsewhere, keep_elsewhere, settle
from rag.pipeline.state import Fitted, Saved
from rag.remarks import Remark, Remarks
from rag.store.fingerprint import fingerprint
from rag.store.folder import FORMAT, read_folder, write_folder

__all__ = ["check_keep", "load", "parts_of", "save"]

P = TypeVar("P", bound=PipelineBase)


def check_keep(keep: Any) -> None:
    """Check a number of generations: None or a whole number from 0 on.

    Raises:
        ConfigError: It is neither.
    """
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 0):
        raise ConfigError(f"must be a whole number of at least 0, got {keep!r}", parameter="keep")


def parts_of(pipeline: PipelineBase) -> frozenset[str]:
    """All parts of a saved pipeline: see :class:`Saved`."""
    return frozenset({"corpus", "passages", "deleted"} | {f"state/{path}" for path, _ in pipeline.spec.walk() if path})


def save(pipeline: PipelineBase, folder: Path, *, keep: int | None) -> None:
    """See :meth:`rag.Pipeline.save`."""
    state = pipeline.fitted
    config = dump(pipeline.spec.to_config())
    entries = {
        "fingerprint": pipeline.fingerprint,
        "documents": pipeline.corpus.n_alive,
        "version": version("rag-pipelines"),
        "contents": {
            path: digest for path, part in pipeline.spec.walk() if path and (digest := _model_digest(part)) is not None
        },
    }
    held: Elsewhere = {}
    try:
        with write_folder(
            folder, pipeline.kind, entries, keep=keep, written=lambda: settle(pipeline, folder, held)
        ) as data:
            linked = state.saved.linked_into(data) if state.saved else frozenset()
            (data / "pipeline.yaml").write_text(config, encoding="utf-8")
            _write_documents(state, data, linked)
            for path, component in pipeline.spec.walk():
                if path and f"state/{path}" not in linked:
                    _write_component(component, data / "state" / path)
            held = held_elsewhere(folder)
            keep_elsewhere(pipeline)
    except BaseException:
        with contextlib.suppress(RagError):  # what was raised first counts
            settle(pipeline, folder, held)
        raise
    pipeline._fitted = replace(state, saved=Saved(data, parts_of(pipeline)))


def load(cls: type[P], folder: Path, *, verify: bool) -> P:
    """See :meth:`rag.Pipeline.load`."""
    while True:
        data, manifest = read_folder(folder, cls.kind, verify=verify)
        try:
            return _open(cls, folder, data, manifest)
        except (RagError, OSError, ValueError, LookupError) as error:
            if read_folder(folder, cls.kind)[0] != data:
                continue  # a writer has replaced it meanwhile
            if isinstance(error, RagError):
                raise
            raise ArtifactError(f"{folder}: damaged: {error}") from error


def _write_documents(state: Fitted, data: Path, linked: frozenset[str]) -> None:
    passages = state.passages
    if "corpus" not in linked:
        passages.corpus.write(data / "corpus.arrow")
    if "passages" not in linked:
        passages.save(data)
    if state.remarks:
        remarks = json.dumps(state.remarks.as_dicts(), ensure_ascii=False)
        (data / "remarks.json").write_text(remarks, encoding="utf-8")
    if passages.alive is not None:
        np.save(data / "deleted.npy", np.flatnonzero(~passages.alive))


def _write_component(component: Component, folder: Path) -> None:
    folder.mkdir(parents=True)
    component.save_state(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def _open(cls: type[P], folder: Path, data: Path, manifest: dict[str, Any]) -> P:
    pipeline = load_component(data / "pipeline.yaml", cls)
    if pipeline.fingerprint != manifest.get("fingerprint"):
        raise ArtifactError(
            f"{folder}: was built by other versions of its components than are installed: index it again"
        )
    for path, component in pipeline.spec.walk():
        built_with = manifest.get("contents", {}).get(path)  # format 1 has none
        if built_with is not None and _model_digest(component) not in (None, built_with):
            raise ArtifactError(
                f"{folder}: the model of {path} ({component.spec.label}) is not the one that the index was built "
                "with: restore that one, or index again"
            )
    corpus = saved_corpus(data)
    passages = Passages.load(data, corpus)
    pipeline.spec.restore(data / "state", FitContext(corpus, passages, first=pipeline.retriever))
    remarks = Remarks()
    if (data / "remarks.json").is_file():
        remarks = Remarks(map(Remark.from_dict, json.loads((data / "remarks.json").read_text(encoding="utf-8"))))
    # Parts of an older format must be written again.
    unchanged = parts_of(pipeline) if manifest["format"] >= FORMAT else frozenset[str]()
    pipeline._fitted = Fitted(passages, remarks=remarks, saved=Saved(data, unchanged))
    return pipeline


def _model_digest(component: Component) -> str | None:
    """Hash of the model behind an embedder: an index can only be searched with the model that built it. None for other
    components, and for a model that is not on this machine: its first use reports it.
    """
    if not isinstance(component, Embedder | SparseEmbedder):
        return None
    try:
        digest = component._model_digest()
    except (ModelError, MissingExtraError):
        return None
    return None if digest is None else fingerprint(digest)
