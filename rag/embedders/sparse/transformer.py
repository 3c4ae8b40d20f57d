"""Any sparse encoder that sentence-transformers loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.component import Runtime
from rag.embedders.sparse.base import SparseEmbedder
from rag.errors import ModelError
from rag.models import Device, inference, load_sparse_encoder, model_content, model_file, tell_library
from rag.models.limits import check_length
from rag.models.tokens import text_batches

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder

__all__ = ["SparseTransformerEmbedder"]

_HEADS = ("SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding")
"""Modules of sentence-transformers that give sparse weights; a Router has some inside."""


class SparseTransformerEmbedder(SparseEmbedder):
    """A sparse encoder from the Hugging Face Hub, a folder, or an installed package.

    SPLADE (Formal et al. 2021) weighs all words of its vocabulary, also those that a text lacks; inference-free ones
    look the weights of a query's tokens up in a table and run a model over documents only; sparse autoencoders (CSR)
    have features in place of words. A model that has no such head would be given one with random weights: it is
    refused.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH`` for weights inside an installed package.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        max_length: Longest text in tokens; the rest of longer ones is cut off. None takes the model's own limit.
        batch_size: Most texts of a forward pass; its tokens are limited to what suits the processor. Scores of all
            words for all tokens of a batch are in memory at once.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.
    """

    type = "sparse"
    _libraries = ("sentence-transformers", "transformers")

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        max_length: Annotated[int, Field(ge=4, le=1_000_000)] | None = None,
        batch_size: Annotated[int, Field(ge=1, le=4096), Runtime()] = 16,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code

    @cached_property
    def encoder(self) -> SparseEncoder:
        """The loaded model, shared by all components that name it.

        Raises:
            ModelError: It cannot be loaded, or has no head that gives sparse weights.
        """
        self._check_head()
        return load_sparse_encoder(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    def _check_head(self) -> None:
        modules = self._file("modules.json")
        kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules or []]
        if "Router" in kinds or any(kind in _HEADS for kind in kinds):
            return
        architectures = (self._file("config.json") or {}).get("architectures") or []
        if modules is None and (not architectures or any("MaskedLM" in str(name) for name in architectures)):
            return  # a masked language model is its own head; what is not on this machine says so when it is loaded
        made_of = ", ".join(kinds or map(str, architectures))
        raise ModelError(
            f"the model '{self.model}' is not a sparse encoder ({made_of}): it has neither a masked "
            f"language model's head "
            "nor a sparse autoencoder, and would be given random weights; use it as the embedder of 'dense', or of "
            "'term_weights'"
        )

    def _file(self, name: str) -> Any:
        path = model_file(self.model, name, self.revision)
        try:
            return None if path is None else json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _preflight(self) -> None:
        check_length("max_length", self.max_length, self.model, self.revision)

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    @property
    def dimension(self) -> int:
        return self._dimension

    @cached_property
    def _dimension(self) -> int:  # the library's own is another one before the first text than after it
        return int(self.encoder.encode_document(["a"], show_progress_bar=False).shape[1])

    def terms(self, columns: Sequence[int]) -> list[str]:
        tokenizer: Any = self.encoder.tokenizer
        size = len(tokenizer)
        if self.dimension > size or self.dimension < size - 1024:  # features of an autoencoder
            return [f"feature {column}" for column in columns]
        names = tokenizer.convert_ids_to_tokens([min(column, size - 1) for column in columns])
        return [str(name) for name in names]

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return self._weights(texts, self.encoder.encode_query)

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return self._weights(texts, self.encoder.encode_document)

    def _weights(self, texts: Sequence[str], encode: Callable[..., Any]) -> Any:
        import scipy.sparse

        options: dict[str, Any] = {}
        if self.max_length is not None:
            options["processing_kwargs"] = {"text": {"max_length": self.max_length, "truncation": True}}
        parts = [scipy.sparse.csr_array((0, self.dimension), dtype=np.float32)]
        batches = list(text_batches(self.encoder, texts, self.batch_size, self.max_length))
        tell_library(self.model, "sentence-transformers", "float32", self.device)
        for rows in batches:
            with inference("float32", self.encoder.device.type):
                table = encode(
                    [texts[row] for row in rows.tolist()],
                    batch_size=self.batch_size,
                    show_progress_bar=False,
                    convert_to_sparse_tensor=True,
                    save_to_cpu=True,
                    **options,
                )
            parts.append(_csr(table))
        weights = scipy.sparse.vstack(parts, format="csr", dtype=np.float32)
        order = np.concatenate([np.empty(0, np.int64), *batches])
        return self.checked(weights[np.argsort(order)] if len(texts) else weights, len(texts))


def _csr(table: Any) -> Any:
    """A sparse tensor as a scipy array."""
    import scipy.sparse

    table = table.coalesce().cpu()
    rows, columns = table.indices().numpy()
    arrays = (table.values().float().numpy(), (rows.astype(np.int32), columns.astype(np.int32)))
    return scipy.sparse.coo_array(arrays, shape=tuple(table.shape)).tocsr()
