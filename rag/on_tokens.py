"""What components have in common that keep the token vectors of all passages."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.candidates import Ints
from rag.embedders.base import TokenEmbedder
from rag.embedders.token_table import TableStorage, TokenTable
from rag.errors import NotFittedError
from rag.on_passages import OnPassages

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["OnTokens"]


class OnTokens(OnPassages):
    """Has a vector for every token of every passage, kept as its ``storage`` says. Documents come and go without
    encoding the others again.
    """

    storage: TableStorage
    _tokens: TokenTable | None = None

    @property
    @abstractmethod
    def token_embedder(self) -> TokenEmbedder:
        """What makes the token vectors."""

    @property
    def tokens(self) -> TokenTable:
        """Token vectors of all passages.

        Raises:
            NotFittedError: There are none yet.
        """
        if self._tokens is None:
            raise NotFittedError.of(self)
        return self._tokens

    def prepare(self, context: FitContext) -> None:
        super().prepare(context)
        context.fit(self.token_embedder)
        if not context.is_cached(self) and context.n_kept < len(context.passages):
            context.embed_passage_tokens(self.token_embedder, start=context.n_kept)

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._tokens = TokenTable.encode(context.embed_passage_tokens(self.token_embedder), self.storage)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        tokens = self.tokens
        for _, child in self.spec.children():
            context.fit(child)
        context.fit(self.token_embedder)
        if len(kept) < len(tokens):
            tokens = tokens.take(kept)
        if len(kept) < len(context.passages):
            new = context.embed_passage_tokens(self.token_embedder, start=len(kept))
            tokens = tokens.joined(TokenTable.encode(new, self.storage, like=tokens))
        if tokens is self._tokens:
            context.keep(self)
        self._tokens, self._passages = tokens, context.passages

    def save_state(self, folder: Path) -> None:
        self.tokens.save(folder)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._tokens = TokenTable.load(folder, self.storage)
