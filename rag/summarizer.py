"""The contract of summarizers: a text or a conversation in, one or several key texts out."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rag.component import Component
from rag.context import Progress, no_progress
from rag.conversation import Turn, turns_of
from rag.errors import DataError, ModelError
from rag.store.values import Values, text_key
from rag.types import Document, Query

if TYPE_CHECKING:
    from rag.costs import Ledger
    from rag.store.store import Store

__all__ = ["Source", "Summaries", "Summarizer", "Summary"]

logger = logging.getLogger("rag.summarizers")

_LISTED = 10
"""Ids named in a message; there may be thousands."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be summarised.

    Args:
        id: Of the document or the query.
        text: The whole text; of a conversation its turns, one a line.
        turns: The turns of a conversation; empty for other texts.
    """

    id: str
    text: str
    turns: tuple[Turn, ...] = ()

    @classmethod
    def of_document(cls, document: Document) -> Source:
        """A document; a conversation when its metadata has ``turns``.

        Raises:
            DataError: Its turns are none.
        """
        turns = document.metadata.get("turns")
        try:
            return cls(document.id, document.text, turns_of(turns) if turns else ())
        except DataError as error:
            raise DataError(f"document '{document.id}': {error}") from None

    @classmethod
    def of_query(cls, query: Query) -> Source:
        return cls(query.id, query.text, tuple(turns_of(query.turns)) if query.turns else ())


@dataclass(frozen=True, slots=True)
class Summary:
    """What a summarizer made of one source.

    Args:
        texts: The key texts, at least one; none when it failed.
        problem: Why there are none.
        llm_calls: Requests it took, failed ones included.
        llm_tokens: Tokens read and written by the model.
    """

    texts: tuple[str, ...]
    problem: str = ""
    llm_calls: int = 0
    llm_tokens: int = 0


@dataclass(frozen=True)
class Summaries:
    """Key texts of many sources.

    Args:
        texts: Of each source, in order; the source's own text where nothing could be made of it.
        problems: Why, by id, for those.
    """

    texts: list[tuple[str, ...]]
    problems: Mapping[str, str] = field(default_factory=dict)


class Summarizer(Component):
    """Makes key texts: what a document is found by, or what a query is taken to mean."""

    kind: ClassVar[str] = "summarizer"

    by_id: ClassVar[bool] = False
    """Whether what it gives hangs on the source's id; then nothing is kept by text."""

    @abstractmethod
    def write(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        """Summaries, each with the number of its source, as they are finished, in any order; no two sources are alike.

        Raises:
            ModelError: It cannot work at all: no such model, no right to use it. What goes wrong with one source is
                that summary's ``problem``.
        """

    def estimate(self, sources: Sequence[Source]) -> str:
        """What writing these will take, in words; empty when there is nothing to tell."""
        return ""

    def summarize(
        self,
        sources: Sequence[Source],
        *,
        store: Store | None = None,
        ledger: Ledger | None = None,
        progress: Progress = no_progress,
        strict: bool = False,
    ) -> Summaries:
        """Key texts of sources: from the store where it has them; each new one is kept there as soon as it is finished,
        so that a process killed half-way loses only those in work.

        Args:
            sources: In the order of the answer. Alike ones are written once.
            store: Where summaries are kept, by text, prompt, model and parameters; None keeps nothing.
            ledger: Where calls and tokens are booked.
            progress: Shows how far it is, and first what it will take.
            strict: Whether a source that nothing can be made of is an error.

        Raises:
            ModelError: The summarizer cannot work, or ``strict`` and a source failed; what was finished is kept.
        """
        values = self._values(store)
        keys = [_source_key(source, by_id=self.by_id) for source in sources]
        found = _read(values, list(dict.fromkeys(keys)))
        missing: dict[bytes, Source] = {}
        for key, source in zip(keys, sources, strict=True):
            if key not in found and (source.text.strip() or self.by_id):
                missing.setdefault(key, source)
        problems = self._write_missing(missing, found, values, ledger, progress) if missing else {}
        failed = {s.id: problems[key] for key, s in zip(keys, sources, strict=True) if key in problems}
        self._report(failed, len(sources), strict=strict)
        return Summaries([found.get(key, (s.text,)) for key, s in zip(keys, sources, strict=True)], failed)

    def _write_missing(
        self,
        missing: Mapping[bytes, Source],
        found: dict[bytes, tuple[str, ...]],
        values: Values | None,
        ledger: Ledger | None,
        progress: Progress,
    ) -> dict[bytes, str]:
        """Write what is missing into ``found`` and the store; why not, for those that failed."""
        todo, wanted = list(missing), list(missing.values())
        problems: dict[bytes, str] = {}
        about = self.estimate(wanted)
        with progress(f"summarising ({about or self.type})", len(todo)) as advance:
            for number, summary in self.write(wanted):
                if ledger is not None:
                    ledger.spend(llm_calls=summary.llm_calls, llm_tokens=summary.llm_tokens)
                texts = tuple(text for text in summary.texts if text.strip())
                if texts:
                    found[todo[number]] = texts
                    if values is not None:
                        values.put([(todo[number], json.dumps(texts, ensure_ascii=False).encode())])
                else:
                    problems[todo[number]] = summary.problem or "nothing was written"
                advance(1)
        return problems

    def _values(self, store: Store | None) -> Values | None:
        """Where the store keeps its summaries. Nowhere for one that looks up ids, that was fitted on this corpus, or
        that holds a Python object nobody can name.
        """
        fitted = any("corpus" in part.needs for _, part in self.walk())
        if store is None or self.by_id or fitted or not self.is_lasting:
            return None
        return store.values("summaries", self.content_fingerprint, about=repr(self))

    def _report(self, failed: Mapping[str, str], n: int, *, strict: bool) -> None:
        if not failed:
            return
        listed = "; ".join(f"'{id}' ({why})" for id, why in list(failed.items())[:_LISTED])
        more = f"; and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
        message = f"the summarizer {self.label()} made nothing of {len(failed)} of {n} texts: {listed}{more}"
        if strict:
            raise ModelError(f"{message}; the others are kept (without strict, these are keyed by their own text)")
        logger.warning("%s; they are keyed by their own text", message)


def _source_key(source: Source, *, by_id: bool) -> bytes:
    turns = [[turn.speaker, turn.text] for turn in source.turns]
    return text_key(source.id if by_id else json.dumps([source.text, turns], ensure_ascii=False))


def _read(values: Values | None, keys: Iterable[bytes]) -> dict[bytes, tuple[str, ...]]:
    kept = values.get(list(keys)) if values is not None else {}
    return {key: tuple(json.loads(value)) for key, value in kept.items()}
