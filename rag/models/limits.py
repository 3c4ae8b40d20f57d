"""The longest text that a model can read, as its files say, without loading it."""

from __future__ import annotations

import json
from typing import Any

from rag.errors import ConfigError, RagError
from rag.models.names import model_file

__all__ = ["check_length", "is_encoder_decoder", "model_limit"]

_RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers", "xlnet", "bloom", "deberta", "deberta-v2"})
"""Architectures that know distances, not positions: they read on beyond what they were trained on."""

_TABLES = frozenset({"model2vec"})
"""Architectures without positions, whose files give a length all the same: tables of token vectors."""

_OFFSET = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xlm-roberta-xl", "data2vec-text"})
"""Architectures whose first two positions are taken: one of 514 reads 512 tokens."""

_CONFIGS = ("config.json", "0_Transformer/config.json")
_POSITIONS = ("max_position_embeddings", "n_positions", "seq_length")


def model_limit(name: str, revision: str | None = None) -> int | None:
    """Positions that a model has, special tokens included; None when its files are not on this machine, or it has no
    such limit.

    Args:
        name: As :func:`rag.models.resolve_model` takes it.
        revision: On the Hub.
    """
    config = _config(name, revision)
    kind = config.get("model_type")
    if kind in _RELATIVE | _TABLES:
        return None
    for key in _POSITIONS:
        limit = config.get(key)
        if isinstance(limit, int) and limit > 0:
            return limit - 2 if kind in _OFFSET else limit
    return None


def is_encoder_decoder(name: str, revision: str | None = None) -> bool:
    """Whether a model reads a text with one part and writes with another, as far as its files are on this machine."""
    return bool(_config(name, revision).get("is_encoder_decoder"))


def check_length(parameter: str, wanted: int | None, name: str, revision: str | None = None, *, of: str = "") -> None:
    """Refuse a length that a model cannot read: beyond its positions it would fail at the first long text.

    Args:
        parameter: What the length is called.
        wanted: The length in tokens; None is always right.
        name: The model.
        revision: On the Hub.
        of: What the length is, when it is a sum.

    Raises:
        ConfigError: It is above the model's limit.
    """
    limit = None if wanted is None else model_limit(name, revision)
    if limit is not None and wanted is not None and wanted > limit:
        raise ConfigError(
            f"must be at most {limit:,}, the limit of the model '{name}', got {wanted:,}{of}", parameter=parameter
        )


def _config(name: str, revision: str | None) -> dict[str, Any]:
    try:
        file = next((path for part in _CONFIGS if (path := model_file(name, part, revision)) is not None), None)
        config = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    except (RagError, OSError, ValueError):  # not there, or not to be read: loading says so
        return {}
    if not isinstance(config, dict):
        return {}
    inner = config.get("text_config")  # of models that also see
    return config | inner if isinstance(inner, dict) else config
