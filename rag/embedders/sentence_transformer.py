"""Any model that sentence-transformers loads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime
from rag.embedders.base import Embedder
from rag.errors import ConfigError
from rag.models import Device, Precision, load_sentence_transformer, precision_context

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["SentenceTransformerEmbedder"]


class SentenceTransformerEmbedder(Embedder):
    """A dense encoder from the Hugging Face Hub, a folder, or an installed package.

    Queries and documents get the prompts the model was trained with (``encode_query`` / ``encode_document``).

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH`` for weights inside an installed package.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        query_prompt: Text put before every query instead of the model's own prompt.
        document_prompt: Text put before every document instead of the model's own prompt.
        truncate_dim: Keep only the first dimensions (for models trained Matryoshka-style); None keeps all.
        normalize: Scale vectors to length 1.
        precision: ``auto`` embeds documents in bfloat16 autocast where the processor has it in hardware (AMX, recent
            GPUs; cosine to float32 above .9999 for MiniLM) and queries in float32, where a single text gains nothing;
            ``bfloat16`` and ``float32`` hold for both.
        batch_size: Texts per forward pass; they are sorted by length first.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.
    """

    type = "sentence_transformer"
    has_tokens = True

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        truncate_dim: Annotated[int, Field(ge=1)] | None = None,
        normalize: bool = True,
        precision: Precision = "auto",
        batch_size: Annotated[int, Field(ge=1, le=4096), Runtime()] = 32,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.query_prompt = query_prompt
        self.document_prompt = document_prompt
        self.truncate_dim = truncate_dim
        self.normalize = normalize
        self.precision = precision
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The loaded model, shared by all components that name it."""
        return load_sentence_transformer(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    @property
    def dimension(self) -> int:
        full = int(self.encoder.get_embedding_dimension() or 0)
        return min(full, self.truncate_dim) if self.truncate_dim else full

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        precision: Precision = "float32" if self.precision == "auto" else self.precision
        return self._encode(self.encoder.encode_query, list(texts), self.query_prompt, precision)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        # Slices long enough for sorting by length to pay, short enough for progress to be seen.
        step = self.batch_size * 16 if advance else max(len(texts), 1)
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for first in range(0, len(order), step):
            rows = order[first : first + step]
            part = [texts[row] for row in rows]
            vectors[rows] = self._encode(self.encoder.encode_document, part, self.document_prompt, self.precision)
            if advance:
                advance(len(part))
        return vectors

    def tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        own = getattr(self.encoder.tokenizer, "backend_tokenizer", None)
        if own is None:
            raise ConfigError(f"the model '{self.model}' has no fast tokenizer: set the chunker's unit to characters")
        copy = Tokenizer.from_str(own.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    def _encode(self, encode: Callable[..., Any], texts: list[str], prompt: str | None, precision: Precision) -> Vectors:
        extra = {} if prompt is None else {"prompt": prompt}
        with precision_context(precision, self.encoder.device.type):
            vectors = encode(
                texts,
                batch_size=self.batch_size,
                normalize_embeddings=self.normalize,
                truncate_dim=self.truncate_dim,
                show_progress_bar=False,
                convert_to_tensor=True,
                **extra,
            )
        return vectors.float().cpu().numpy().reshape(len(texts), self.dimension)  # type: ignore[no-any-return]
