"""The provenance of a run: its documents, queries, versions and machine."""

from __future__ import annotations

import functools
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Split
from rag.models import ran
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint, fingerprint_texts

__all__ = ["documents_fingerprint", "machine", "models_of", "queries_fingerprint", "versions"]

_PACKAGES = (
    "rag-pipelines",
    "bm25s",
    "faiss-cpu",
    "ir-measures",
    "numpy",
    "onnxruntime",
    "openvino",
    "scipy",
    "sentence-transformers",
    "torch",
    "transformers",
)


def queries_fingerprint(split: Split) -> str:
    """Hash of queries and judgments, regardless of order: equal where runs can be compared."""
    return fingerprint_texts(
        json.dumps([query.id, query.text, sorted(split.qrels[query.id].items())], ensure_ascii=False)
        for query in sorted(split.queries, key=lambda query: query.id)
    )


def documents_fingerprint(corpus: Corpus) -> str:
    """Hash of the whole content of the documents."""
    return fingerprint([corpus.fingerprint, fingerprint_texts(chain.from_iterable(corpus.iter_texts()))])


def machine() -> str:
    """The kind of machine on which times were measured."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # only on Linux
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def models_of(pipeline: Pipeline) -> dict[str, list[str]]:
    """What the models of a pipeline were computed by in this process, by their names; those whose numbers all came from
    the store are not there.
    """
    named = {part.spec.arguments.get("model") for _, part in pipeline.spec.walk()}
    return {name: list(words) for name, words in ran().items() if name in named}


@functools.cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the installed packages on which results depend."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
