"""Neural models: names and files, identity, limits, precision, and loading them once."""

from rag.models.content import model_content
from rag.models.limits import check_length, is_encoder_decoder, model_limit
from rag.models.loading import (
    load_cross_encoder,
    load_multi_vector_encoder,
    load_sentence_transformer,
    load_sparse_encoder,
    quiet,
)
from rag.models.names import model_file, resolve_model
from rag.models.precision import (
    Device,
    Precision,
    has_fast_bfloat16,
    inference,
    resolve_device,
    resolved_precision,
)

__all__ = [
    "Device",
    "Precision",
    "check_length",
    "has_fast_bfloat16",
    "inference",
    "is_encoder_decoder",
    "load_cross_encoder",
    "load_multi_vector_encoder",
    "load_sentence_transformer",
    "load_sparse_encoder",
    "model_content",
    "model_file",
    "model_limit",
    "quiet",
    "resolve_device",
    "resolve_model",
    "resolved_precision",
]
