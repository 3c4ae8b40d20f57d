"""Neural models: names and files, identity, limits, precision, and loading them once."""

from rag.models.content import model_content
from rag.models.exports import keep_exports_in
from rag.models.forwards import Backend, check_backend, computed_in, environment
from rag.models.limits import check_length, is_encoder_decoder, model_limit
from rag.models.loading import (
    load_cross_encoder,
    load_multi_vector_encoder,
    load_pair_encoder,
    load_sentence_encoder,
    load_sentence_transformer,
    load_sparse_encoder,
    quiet,
)
from rag.models.names import model_file, resolve_model
from rag.models.pairs import PairEncoder
from rag.models.precision import (
    Device,
    LibraryPrecision,
    Precision,
    has_fast_bfloat16,
    inference,
    resolve_device,
    resolved_precision,
)
from rag.models.ran import engines_here, ran, tell, tell_library
from rag.models.sentences import Encoded, Reading, SentenceEncoder

__all__ = [
    "Backend",
    "Device",
    "Encoded",
    "LibraryPrecision",
    "PairEncoder",
    "Precision",
    "Reading",
    "SentenceEncoder",
    "check_backend",
    "check_length",
    "computed_in",
    "engines_here",
    "environment",
    "has_fast_bfloat16",
    "inference",
    "is_encoder_decoder",
    "keep_exports_in",
    "load_cross_encoder",
    "load_multi_vector_encoder",
    "load_pair_encoder",
    "load_sentence_encoder",
    "load_sentence_transformer",
    "load_sparse_encoder",
    "model_content",
    "model_file",
    "model_limit",
    "quiet",
    "ran",
    "resolve_device",
    "resolve_model",
    "resolved_precision",
    "tell",
    "tell_library",
]
