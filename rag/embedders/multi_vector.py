"""Encoders trained for late interaction: a vector for every token (ColBERT and its descendants)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.embedders.pooled_tokens import merged_tokens
from rag.errors import ConfigError
from rag.models import (
    Device,
    LibraryPrecision,
    Precision,
    inference,
    load_multi_vector_encoder,
    model_content,
    model_file,
    resolved_precision,
    tell_library,
)
from rag.models.tokens import text_batches

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder
    from tokenizers import Tokenizer

__all__ = ["MultiVectorEmbedder"]

_TRAINED_TYPES = {"ColBERT", "MultiVectorEncoder"}
"""What ``config_sentence_transformers.json`` calls checkpoints whose token vectors were trained."""


class MultiVectorEmbedder(TokenEmbedder):
    """A late-interaction encoder: ColBERT (Khattab and Zaharia 2020), PyLate and sentence-transformers checkpoints.

    Prompts, query expansion, masked punctuation and lengths are those of the checkpoint. A checkpoint without a trained
    projection of tokens is refused: the library would give it a random one. For such a model take ``max_sim`` or
    ``late_interaction`` over ``sentence_transformer``, whose token vectors are the last hidden states.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH`` for weights inside an installed package.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        pool_factor: Merge the tokens of a document into one vector for every ``pool_factor`` of them: Ward clusters of
            cosine distances, the first token apart (token pooling, Clavie et al. 2024). 2 costs next to nothing in
            quality, 4 some points; 1 keeps all.
        precision: ``auto``, ``float32`` or ``bfloat16``: see ``sentence_transformer``; with ``auto`` queries are always
            encoded in float32.
        batch_size: Most texts of a forward pass; its tokens are limited to what suits the processor.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.

    Raises:
        ConfigError: The model has no trained projection of tokens, or pools them and so does ``pool_factor``.
        ModelError: The model cannot be loaded.
    """

    type = "multi_vector"
    has_tokens = True
    trained_for_max_sim = True
    _libraries = ("sentence-transformers", "transformers")

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        pool_factor: Annotated[int, Field(ge=1, le=64)] = 1,
        precision: LibraryPrecision = "auto",
        batch_size: Annotated[int, Field(ge=1, le=4096), Runtime()] = 32,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.pool_factor = pool_factor
        self.precision = precision
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code

    @cached_property
    def encoder(self) -> MultiVectorEncoder:
        """The loaded model, shared by all components that name it."""
        self._preflight()
        encoder = load_multi_vector_encoder(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )
        self._preflight()  # of a model that was not on this machine
        return encoder

    @property
    def pools_tokens(self) -> bool:
        return self.pool_factor > 1 or self._pools_by_itself

    @property
    def _pools_by_itself(self) -> bool:
        """Whether the checkpoint merges tokens; False of one that was never on this machine."""
        return "TokenPooling" in str(self._read("modules.json"))

    def _preflight(self) -> None:
        """Refuse a checkpoint that would get a random projection, or pool twice."""
        model_type = self._settings("config_sentence_transformers.json").get("model_type")
        architectures = self._settings("config.json").get("architectures") or []
        trained = model_type in _TRAINED_TYPES or any(
            name == "HF_ColBERT" or name.endswith("ForRetrieval") for name in architectures
        )
        if not trained and (model_type or architectures):
            described = model_type or ", ".join(architectures)
            raise ConfigError(
                f"the model '{self.model}' is not a late-interaction checkpoint ({described}): its tokens would get a "
                "random projection; use embedder: sentence_transformer, whose token vectors are its hidden states",
                parameter="model",
            )

        if self.pool_factor > 1 and self._pools_by_itself:
            raise ConfigError(
                f"the model '{self.model}' pools its tokens already: must be 1, got {self.pool_factor}",
                parameter="pool_factor",
            )
        if self.precision == "bfloat16" and self._pools_by_itself:
            raise ConfigError(
                f"the model '{self.model}' pools its tokens, which the library does in float32 only",
                parameter="precision",
            )

    def _settings(self, file: str) -> dict[str, Any]:
        settings = self._read(file)
        return settings if isinstance(settings, dict) else {}

    def _read(self, file: str) -> Any:
        path = model_file(self.model, file, self.revision)
        try:
            return None if path is None else json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    def _environment(self) -> Any:
        return resolved_precision(self._document_precision, self.device)

    @property
    def _document_precision(self) -> LibraryPrecision:
        return "float32" if self.precision == "auto" and self._pools_by_itself else self.precision

    @property
    def dimension(self) -> int:
        return int(self.encoder.get_embedding_dimension() or 0)

    @property
    def window(self) -> int | None:
        transformer = self.encoder[0]
        length = getattr(transformer, "document_length", None) or getattr(self.encoder, "max_seq_length", None)
        return None if length is None else int(length)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_query_tokens(texts).pooled()

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.embed_document_tokens(texts, advance=advance)[1]

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        precision: Precision = "float32" if self.precision == "auto" else self.precision
        tell_library(self.model, "sentence-transformers", precision, self.device)
        with inference(precision, self.encoder.device.type):
            encoded = self.encoder.encode_query(list(texts), batch_size=self.batch_size, show_progress_bar=False)
        return self._joined(encoded)

    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        encoded: list[Any] = [None] * len(texts)
        tell_library(self.model, "sentence-transformers", self.precision, self.device)
        for batch in text_batches(self.encoder, texts, self.batch_size):
            rows = batch.tolist()
            with inference(self._document_precision, self.encoder.device.type):
                block = self.encoder.encode_document(
                    [texts[row] for row in rows], batch_size=self.batch_size, show_progress_bar=False
                )
            for row, vectors in zip(rows, block, strict=True):
                encoded[row] = vectors
            if advance:
                advance(len(rows))
        tokens = self._joined(encoded)
        if self.pool_factor > 1:
            tokens = merged_tokens(tokens, self.pool_factor)
        return TokenVectors(tokens.vectors.astype(np.float16), tokens.ends), tokens.pooled()

    def _joined(self, encoded: Any) -> TokenVectors:
        arrays = [np.asarray(tokens.float().cpu() if hasattr(tokens, "cpu") else tokens) for tokens in encoded]
        ends = np.concatenate([[0], np.cumsum([len(tokens) for tokens in arrays])]).astype(np.int64)
        empty = [np.empty((0, self.dimension), dtype=np.float32)]
        vectors = np.concatenate([*empty, *(tokens.reshape(-1, self.dimension) for tokens in arrays)]).astype(
            np.float32
        )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return TokenVectors(vectors / np.maximum(norms, 1e-12), ends)

    def tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.encoder.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
