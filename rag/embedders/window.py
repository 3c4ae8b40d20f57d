"""Texts that an embedder reads only the beginning of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import ConfigError
from rag.remarks import MAX_EXAMPLES, Remark
from rag.store.key_value_cache import text_key

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rag.corpus.passages import Passages
    from rag.embedders.base import Embedder
    from rag.store.key_value_cache import KeyValueCache

__all__ = ["beyond_window", "window_remark"]

_TOGETHER = 256
"""Texts tokenized at once."""

_CHARACTERS_PER_TOKEN = 16
"""Of a long text so many characters for each token of the window are looked at first: they nearly always decide it."""


def beyond_window(embedder: Embedder, blocks: Iterable[Sequence[str]]) -> list[int]:
    """Positions of the texts that are longer than an embedder's window, ascending; none where it has no window, or
    no tokenizer that could count.

    Args:
        embedder: Its model is only loaded if the window, the tokenizer or the prompt are in no file of its own.
        blocks: The texts, in blocks.
    """
    window = embedder.window
    if window is None:
        return []
    try:
        tokenizer = embedder.tokenizer()
    except ConfigError:
        return []
    room = window - tokenizer.num_special_tokens_to_add(False)
    prompt = embedder.prompt_for_documents
    positions: list[int] = []
    first = 0
    for block in blocks:
        # A token is a byte at least.
        long = [row for row, text in enumerate(block) if len(prompt) + len(text) > room // 4]
        long = [row for row in long if len((prompt + block[row]).encode("utf-8", "replace")) > room]
        for start in range(0, len(long), _TOGETHER):
            rows = long[start : start + _TOGETHER]
            looked_at = room * _CHARACTERS_PER_TOKEN
            lengths = _lengths(tokenizer, [(prompt + block[row])[:looked_at] for row in rows])
            beyond = {row for row, length in zip(rows, lengths, strict=True) if length > room}
            unsure = [row for row in rows if row not in beyond and len(prompt) + len(block[row]) > looked_at]
            lengths = _lengths(tokenizer, [prompt + block[row] for row in unsure])
            beyond |= {row for row, length in zip(unsure, lengths, strict=True) if length > room}
            positions += [first + row for row in sorted(beyond)]
        first += len(block)
    return positions


def window_remark(
    embedder: Embedder,
    passages: Passages,
    *,
    start: int = 0,
    unit: str = "passages",
    values: KeyValueCache | None = None,
) -> Remark | None:
    """Remark on passages longer than an embedder's window; None if there are none.

    Args:
        embedder: The embedder of the passages.
        passages: The passages.
        start: Position of the first one to look at.
        unit: Name of the passages in messages: they may be keys.
        values: Cache of the count, which is over all passages.
    """
    key = text_key(passages.fingerprint) if values is not None else b""
    cached = values.get([key]) if values is not None else {}
    if key in cached:
        count, documents, window = json.loads(cached[key])
    else:
        positions = beyond_window(embedder, passages.iter_texts(start))
        owners = passages.document[np.array(positions[:MAX_EXAMPLES], dtype=np.int64) + start]
        count, documents, window = len(positions), passages.corpus.ids(owners), embedder.window if positions else None
        if values is not None:
            values.put([(key, json.dumps([count, documents, window]).encode())])
    if not count:
        return None
    total = len(passages) - start
    remedy = "set a chunker" if passages.one_per_document else "lower the chunker's size"
    message = (
        f"{count:,} of {total:,} {'new ' if start else ''}{unit} are longer than the model's {window:,} tokens "
        f"({embedder.type}); what is beyond is not searched{f': {remedy}' if unit == 'passages' else ''}"
    )
    return Remark("beyond_window", message, count, total, tuple(documents))


def _lengths(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    if not texts:
        return []
    return [len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
