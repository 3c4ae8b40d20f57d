"""The contract of chunkers, and how they measure length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from rag.component import Component, Tunable
from rag.corpus.chunkers.context import Context, Contexts, Pages, known_of
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.errors import ConfigError
from rag.formats.base import PAGE_END

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Chunker", "SizedChunker", "Span", "Unit", "lengths"]

Unit = Literal["tokens", "characters"]


class Span(NamedTuple):
    """A slice of a text: ``text[start:end]``, offsets in characters."""

    start: int
    end: int
    metadata: Mapping[str, Any] | None = None


def lengths(texts: Sequence[str], tokenizer: Tokenizer | None) -> list[int]:
    """How long texts are: in tokens, those left out that a model adds, or without a tokenizer in characters."""
    if tokenizer is None:
        return [len(text) for text in texts]
    return [len(encoding) for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


class Chunker(Component):
    """Cuts documents into passages. A document without text keeps one empty passage, so that it still exists."""

    kind: ClassVar[str] = "chunker"

    @property
    def needs_tokenizer(self) -> bool:
        """Whether lengths are counted in the tokens of the pipeline's embedder."""
        return False

    def contexts(self, tokenizer: Tokenizer | None) -> Contexts | None:
        """What is put before passages where they are embedded and matched; None for nothing."""
        return None

    @abstractmethod
    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        """The slices of each text, in order of their start.

        Args:
            texts: A block of documents.
            tokenizer: The embedder's, without truncation; given when :attr:`needs_tokenizer`.
        """

    def uses_tokenizer(self, corpus: Corpus) -> bool:
        """Whether :meth:`chunk` counts in the tokens of the pipeline's embedder on these documents, if it has any."""
        return self.needs_tokenizer

    def chunk(self, corpus: Corpus, tokenizer: Tokenizer | None = None) -> Passages:
        """The passages of all documents, each with its page where the text has pages, and its context."""
        contexts = self.contexts(tokenizer)
        document: list[int] = []
        start: list[int] = []
        end: list[int] = []
        metadata: dict[int, Mapping[str, Any]] = {}
        position = 0
        for block in corpus.iter_texts():
            known = known_of(corpus, position, block, everything=contexts is not None)
            for text, spans in zip(block, self.spans(block, tokenizer), strict=True):
                pages = Pages(text, known.get(position, {})) if PAGE_END in text else None
                for span in spans or (Span(0, 0),):
                    about = dict(span.metadata or ()) | (pages.of(span.start, span.end) if pages else {})
                    if contexts and (context := contexts.of(known.get(position, {}), about, text, span.start)):
                        about["context"] = context
                    if about:
                        metadata[len(document)] = about
                    document.append(position)
                    start.append(span.start)
                    end.append(span.end)
                position += 1
        columns = [np.asarray(values, dtype=np.int64) for values in (document, start, end)]
        return Passages(corpus, columns[0], columns[1], columns[2], metadata)


class SizedChunker(Chunker):
    """Base of chunkers that fill passages up to a size.

    Args:
        size: Longest passage, in ``unit``.
        overlap: How much of a passage's end the next one may repeat, in ``unit``; less than ``size``.
        unit: ``tokens`` of the pipeline's first embedder, those included that it puts around every text, so that a
            passage of its limit is embedded whole; or ``characters``.
        context: What is put before a passage where it is embedded and matched, and not shown: the ``title`` of its
            document; title and ``headings`` above it; or ``none``. A quarter of ``size`` is kept free for it.
    """

    context: Context = "none"

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=1, le=1_000_000), Tunable(times=(0.5, 1, 2), gain=0.005)] = 256,
        overlap: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        unit: Unit = "tokens",
        context: Context = "none",
    ) -> None:
        if overlap >= size:
            raise ConfigError(f"must be less than size ({size}), got {overlap}", parameter="overlap")
        self.size = size
        self.overlap = overlap
        self.unit = unit
        self.context = context

    def _identity(self) -> dict[str, Any]:
        identity = super()._identity()
        if self.context == "none":  # as before there was any
            identity.pop("context", None)
        return identity

    def contexts(self, tokenizer: Tokenizer | None) -> Contexts | None:
        if self.context == "none":
            return None
        return Contexts(self.context, self.room_for_context - 1, lambda text: lengths([text], tokenizer)[0])

    @property
    def room_for_context(self) -> int:
        """How much of ``size`` is kept free for the context."""
        return 0 if self.context == "none" else self.size // 4

    @property
    def needs_tokenizer(self) -> bool:
        return self.unit == "tokens"

    def capacity(self, tokenizer: Tokenizer | None) -> int:
        """What fits into a passage: ``size`` without the tokens that the model adds.

        Raises:
            ConfigError: Nothing does.
        """
        added = 0 if tokenizer is None else tokenizer.num_special_tokens_to_add(False)
        free = self.size - added - self.room_for_context
        if free <= self.overlap:
            context = f", the context ({self.room_for_context})" if self.room_for_context else ""
            raise ConfigError(
                f"size ({self.size}) must leave room beside the {added} tokens that the model adds{context} and the "
                f"overlap ({self.overlap})",
                parameter="size",
            )
        return free
