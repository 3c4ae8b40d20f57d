"""Texts and pairs of texts as tokens, as sentence-transformers would read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rag.candidates import Ints
from rag.models.batching import default_budget, token_batches
from rag.models.precision import exclusive

__all__ = ["Tokenizing", "text_batches"]

_CHARACTERS_PER_TOKEN = 4
"""Where nobody can count tokens."""

_UNLIMITED = 1_000_000
"""Lengths from here on are no limit: tokenizers without one say 10^30."""


class Tokenizing:
    """The tokens of a model's texts.

    Args:
        model: A ``SentenceTransformer`` or a ``CrossEncoder``.
    """

    def __init__(self, model: Any) -> None:
        self._body = model[0] if len(model) else None
        self._tokenizer: Any = getattr(self._body, "tokenizer", None)

    @property
    def is_plain(self) -> bool:
        """Whether the model reads what its fast tokenizer gives, and nothing else: no chat template, no images, no
        queries made longer.
        """
        body: Any = self._body
        tokenizer: Any = self._tokenizer
        return (
            type(body).__name__ == "Transformer"
            and type(body).__module__.startswith("sentence_transformers.")
            and tokenizer is not None
            and bool(getattr(tokenizer, "is_fast", False))
            and body.processor is tokenizer
            and tokenizer.num_special_tokens_to_add() > 0
            and set(getattr(body, "modality_config", {})) == {"text"}
            and not any(
                getattr(body, name, None)
                for name in ("query_expansion", "query_length", "document_length", "processing_kwargs")
            )
        )

    def __call__(
        self, texts: Sequence[str], max_length: int | None, second: Sequence[str] | None = None
    ) -> tuple[list[list[int]], list[list[int]] | None]:
        """Tokens of texts, or of pairs of texts, those included that the model adds; and their types, of pairs, where
        the model has any.
        """
        if not texts:
            return [], None
        encoded = self._tokenizer(
            list(texts),
            None if second is None else list(second),
            truncation="longest_first",
            max_length=max_length,
            return_attention_mask=False,
        )
        return encoded["input_ids"], None if second is None else encoded.get("token_type_ids")

    def lengths(self, texts: Sequence[str], max_length: int | None, second: Sequence[str] | None = None) -> list[int]:
        """How many tokens texts or pairs have, or about how many where they cannot be counted."""
        if self.is_plain:
            return [len(ids) for ids in self(texts, max_length, second)[0]]
        both = texts if second is None else [a + b for a, b in zip(texts, second, strict=True)]
        return [min(len(text) // _CHARACTERS_PER_TOKEN + 2, self.longest(max_length)) for text in both]

    def longest(self, max_length: int | None) -> int:
        """Tokens of the longest text."""
        own = getattr(self._body, "max_seq_length", None)
        return min(max_length or _UNLIMITED, own if own and not max_length else _UNLIMITED)


def text_batches(model: Any, texts: Sequence[str], most: int, max_length: int | None = None) -> Iterator[Ints]:
    """Positions of texts in batches that suit the processor, for a model that its library reads.

    Args:
        model: A model of sentence-transformers.
        texts: The texts.
        most: Most texts of a batch.
        max_length: Longest text in tokens; None takes the model's own.
    """
    with exclusive():
        lengths = Tokenizing(model).lengths(texts, max_length)
    return token_batches(lengths, default_budget(model.device.type), most)
