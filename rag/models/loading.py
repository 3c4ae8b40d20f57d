"""Loading models, one copy per process."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rag.errors import RagError
from rag.models.content import model_content
from rag.models.limits import model_limit
from rag.models.names import resolve_model, unloadable
from rag.models.pairs import PairEncoder
from rag.models.precision import Device, resolve_device
from rag.models.sentences import SentenceEncoder
from rag.progress import loading

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder

__all__ = [
    "load_cross_encoder",
    "load_multi_vector_encoder",
    "load_pair_encoder",
    "load_sentence_encoder",
    "load_sentence_transformer",
    "load_sparse_encoder",
    "quiet",
]


def load_sentence_transformer(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> SentenceTransformer:
    """A sentence-transformers model; loaded once per process however many components name it.

    Raises:
        ModelError: It cannot be found or loaded.
    """
    from sentence_transformers import SentenceTransformer

    return _load(SentenceTransformer, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


def load_cross_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> CrossEncoder:
    """A cross-encoder, likewise."""
    from sentence_transformers import CrossEncoder

    return _load(CrossEncoder, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


def load_sparse_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> SparseEncoder:
    """A sparse encoder, likewise."""
    from sentence_transformers import SparseEncoder

    return _load(SparseEncoder, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


def load_sentence_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> SentenceEncoder:
    """A sentence-transformers model made to encode many texts, likewise."""
    return _sentence_encoder(name, resolve_device(device), revision, trust_remote_code)


def load_pair_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> PairEncoder:
    """A cross-encoder made to score many pairs, likewise."""
    return _pair_encoder(name, resolve_device(device), revision, trust_remote_code)


@functools.cache
def _sentence_encoder(name: str, device: str, revision: str | None, trust: bool) -> SentenceEncoder:
    model = load_sentence_transformer(name, device=device, revision=revision, trust_remote_code=trust)
    return SentenceEncoder(model, name, lambda: model_content(name, revision))


@functools.cache
def _pair_encoder(name: str, device: str, revision: str | None, trust: bool) -> PairEncoder:
    model = load_cross_encoder(name, device=device, revision=revision, trust_remote_code=trust)
    return PairEncoder(model, name, lambda: model_content(name, revision))


def load_multi_vector_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> MultiVectorEncoder:
    """A late-interaction encoder, likewise."""
    from sentence_transformers import MultiVectorEncoder

    return _load(MultiVectorEncoder, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


@functools.cache
def _load(model_class: Any, name: str, device: str, revision: str | None, trust_remote_code: bool) -> Any:
    path = resolve_model(name)
    with loading(name), quiet():
        try:
            model = model_class(path, device=device, revision=revision, trust_remote_code=trust_remote_code)
            _limit(model, name, revision)
            # Weights kept in half precision would be loaded as they are, and autocast on a CPU cannot mix them.
            return model.float()
        except RagError:
            raise
        except Exception as error:  # the loaders raise many kinds: OSError, ValueError, KeyError, hub errors, ...
            raise unloadable(name, error) from error


def _limit(model: Any, name: str, revision: str | None) -> None:
    """Have texts cut where a model ends: a tokenizer may know no limit, or count positions that are taken."""
    limit = model_limit(name, revision)
    body: Any = model[0] if len(model) else None
    own = getattr(body, "max_seq_length", None)
    if limit is not None and own is not None and own > limit:
        body.max_seq_length = limit


@contextmanager
def quiet() -> Iterator[None]:
    """Loading and saving report to nobody: no progress bars of weights, no advice on standard error."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
