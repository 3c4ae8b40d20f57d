"""Any model that sentence-transformers loads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Later, Runtime
from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
from rag.errors import ConfigError
from rag.models import (
    Backend,
    Device,
    Precision,
    Reading,
    SentenceEncoder,
    check_backend,
    computed_in,
    engines_here,
    environment,
    keep_exports_in,
    load_sentence_encoder,
    load_sentence_transformer,
    model_content,
    model_file,
)
from rag.models.limits import check_length

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from rag.fitting import FitContext

__all__ = ["SentenceTransformerEmbedder"]

_MADE_FOR = {
    "SparseEncoder": "a sparse encoder: search with retriever 'sparse' and its embedder 'sparse'",
    "MultiVectorEncoder": "a late-interaction encoder: use embedder 'multi_vector'",
    "ColBERT": "a late-interaction encoder: use embedder 'multi_vector'",
    "CrossEncoder": "a cross-encoder: use scorer 'cross_encoder'",
}
"""What ``config_sentence_transformers.json`` calls models whose heads a mean of hidden states would ignore."""

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which a model may keep its prompt for documents, in the order of sentence-transformers."""


class SentenceTransformerEmbedder(TokenEmbedder):
    """A dense encoder from the Hugging Face Hub, a folder, or an installed package.

    Queries and documents get the prompts the model was trained with (``encode_query`` / ``encode_document``).

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH`` for weights inside an installed package.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        query_prompt: Text put before every query instead of the model's own prompt.
        document_prompt: Text put before every document instead of the model's own prompt.
        max_length: Longest text in tokens; the rest of longer ones is cut off. None takes the model's own limit.
        truncate_dim: Keep only the first dimensions (for models trained Matryoshka-style); None keeps all.
        normalize: Scale vectors to length 1.
        precision: What products with weights are computed in. ``auto`` embeds documents in bfloat16 where the processor
            has it in hardware (AMX, AVX-512 BF16, recent GPUs; cosine to float32 above .9999 for MiniLM) and queries in
            float32; the others hold for both. ``float16`` is for GPUs. ``int8`` is for CPUs and models built like BERT:
            two to three times as fast, vectors a little off (cosine .993 to .998 for MiniLM).
        query_precision: What queries are computed in, where that is to differ from documents; None takes ``precision``.
        backend: What computes: ``torch``; ``onnx`` (ONNX Runtime: float32, int8) or ``openvino`` (OpenVINO: float32,
            bfloat16), from the extras of these names, for models built like BERT, on a CPU; or ``auto``: one of these
            where it is installed and gives torch's vectors, else torch.
        batch_tokens: Most tokens of a forward pass, padding included; texts are sorted by tokens first. None takes what
            suits the processor.
        batch_size: Most texts of a forward pass; None has no limit but ``batch_tokens``.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.
    """

    type = "sentence_transformer"
    has_tokens = True
    _libraries = ("sentence-transformers", "transformers")

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        max_length: Annotated[int, Field(ge=4, le=1_000_000)] | None = None,
        truncate_dim: Annotated[int, Field(ge=1)] | None = None,
        normalize: bool = True,
        precision: Precision = "auto",
        query_precision: Annotated[Precision | None, Later()] = None,
        backend: Annotated[Backend, Runtime()] = "auto",
        batch_tokens: Annotated[int, Field(ge=1), Runtime()] | None = None,
        batch_size: Annotated[int, Field(ge=1), Runtime()] | None = None,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.query_prompt = query_prompt
        self.document_prompt = document_prompt
        self.max_length = max_length
        self.truncate_dim = truncate_dim
        self.normalize = normalize
        self.precision = precision
        self.query_precision = query_precision
        self.backend = backend
        self.batch_tokens = batch_tokens
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The loaded model, shared by all components that name it."""
        return load_sentence_transformer(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    @cached_property
    def _reader(self) -> SentenceEncoder:
        return load_sentence_encoder(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    def _preflight(self) -> None:
        made_for = _MADE_FOR.get(str(self._setting("config_sentence_transformers.json", "model_type")))
        if made_for is not None:
            raise ConfigError(f"the model '{self.model}' is {made_for}", parameter="model")
        check_length("max_length", self.max_length, self.model, self.revision)
        check_backend(self.backend, self.precision, self.device)
        if self.query_precision is not None:
            check_backend(self.backend, self.query_precision, self.device, parameter="query_precision")

    def prepare(self, context: FitContext) -> None:
        super().prepare(context)
        keep_exports_in(context.store)

    @classmethod
    def _computed_by(cls) -> str:
        return engines_here()

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    def _environment(self) -> Any:
        detected = environment(self.backend, self.precision, self.device)
        if self.query_precision is None:
            return detected
        return [detected, environment(self.backend, self.query_precision, self.device)]

    @property
    def base(self) -> Embedder:
        return self if self.query_precision is None else self._of_documents

    @cached_property
    def _of_documents(self) -> SentenceTransformerEmbedder:
        """Embeds passages as this one does: its vectors and index serve pairs of any precision for queries."""
        return type(self)(**{**self.spec.arguments, "query_precision": None})

    @property
    def dimension(self) -> int:
        full = int(self.encoder.get_embedding_dimension() or 0)
        return min(full, self.truncate_dim) if self.truncate_dim else full

    @property
    def window(self) -> int | None:
        own = self._setting("sentence_bert_config.json", "max_seq_length")
        if own is None and self.max_length is None:
            own = getattr(self.encoder, "max_seq_length", None)
        return min((limit for limit in (own, self.max_length) if limit is not None and limit < math.inf), default=None)

    @property
    def prompt_for_documents(self) -> str:
        if self.document_prompt is not None:
            return self.document_prompt
        file = "config_sentence_transformers.json"
        prompts = self._setting(file, "prompts") or {}
        usual = (*_DOCUMENT_PROMPTS, self._setting(file, "default_prompt_name"))
        return str(next((prompts[name] for name in usual if name in prompts), ""))

    def _setting(self, file: str, name: str) -> Any:
        """A value in one of the model's files of settings, or None; nothing is loaded."""
        path = model_file(self.model, file, self.revision)
        try:
            settings = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return settings.get(name) if isinstance(settings, dict) else None

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._reader.encode_queries(texts, self._reading(query=True))

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self._reader.encode(texts, self._reading(query=False), advance=advance).vectors

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return _joined(self._reader.query_tokens(texts, self._reading(query=True)), np.float32)

    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        encoded = self._reader.encode(texts, self._reading(query=False), tokens=True, advance=advance)
        assert encoded.tokens is not None
        return _joined(encoded.tokens, np.float16), encoded.vectors

    def tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        file = model_file(self.model, "tokenizer.json", self.revision)
        if file is not None:  # counting needs no model, and loading one takes seconds
            tokenizer = Tokenizer.from_file(str(file))
        else:
            own = getattr(self.encoder.tokenizer, "backend_tokenizer", None)
            if own is None:
                raise ConfigError(
                    f"the model '{self.model}' has no fast tokenizer: set the chunker's unit to characters"
                )
            tokenizer = Tokenizer.from_str(own.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _reading(self, *, query: bool) -> Reading:
        precision = self.precision
        if query and self.query_precision is not None:
            precision = self.query_precision
        elif query and precision == "auto":
            precision = "float32"
        return Reading(
            query,
            prompt=self.query_prompt if query else self.document_prompt,
            max_length=self.max_length,
            truncate_dim=self.truncate_dim,
            normalize=self.normalize,
            precision=computed_in(self.backend, precision, self.device),
            backend=self.backend,
            budget=self.batch_tokens,
            most=self.batch_size,
        )


def _joined(parts: list[Vectors], dtype: type[np.floating[Any]]) -> TokenVectors:
    ends = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    vectors = np.concatenate([part.astype(dtype, copy=False) for part in parts]) if parts else np.empty((0, 0), dtype)
    return TokenVectors(vectors, ends)
