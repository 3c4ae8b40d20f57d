"""The contract of summarizers: a text or a conversation in, one or several key texts out."""

from __future__ import annotations

import json
import logging
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from rag.component import Component
from rag.context import Progress, no_progress
from rag.conversation import Turn, turns_of
from rag.errors import ArtifactError, DataError, ModelError
from rag.store.values import Values, text_key
from rag.types import Document, Query

if TYPE_CHECKING:
    from rag.costs import Ledger
    from rag.store.store import Store

__all__ = ["Source", "Summaries", "Summarizer", "Summary"]

logger = logging.getLogger("rag.summarizers")

_LISTED = 10
"""Ids or reasons named in a message; there may be thousands."""


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
            ledger: Where calls and tokens are booked; those of summaries that were in the store too, as they were.
            progress: Shows how far it is, and first what it will take.
            strict: Whether a source that nothing can be made of is an error.

        Raises:
            ModelError: The summarizer cannot work, or ``strict`` and a source failed; what was finished is kept.
        """
        values = None if self.by_id else self.values_in(store, "summaries")
        keys = [_source_key(source, by_id=self.by_id) for source in sources]
        found = _read(values, list(dict.fromkeys(keys)))
        missing = {
            k: s for k, s in zip(keys, sources, strict=True) if k not in found and (s.text.strip() or self.by_id)
        }
        problems: dict[bytes, str] = {}
        if missing and values is not None and values.mode == "only":
            raise ArtifactError(f"{values.path}: lacks {len(missing)} summaries, and nothing may be computed")
        if missing:
            with values.computing() if values is not None else nullcontext():
                # Another process may have written them while this one waited.
                found |= _read(values, list(missing))
                problems = self._write({k: s for k, s in missing.items() if k not in found}, found, values, progress)
        if ledger is not None:
            for summary in found.values():
                ledger.spend(llm_calls=summary.llm_calls, llm_tokens=summary.llm_tokens)
        failed = {s.id: problems[key] for key, s in zip(keys, sources, strict=True) if key in problems}
        self._report(failed, len(sources), strict=strict)
        texts = [
            found[k].texts if k in found and k not in problems else (s.text,)
            for k, s in zip(keys, sources, strict=True)
        ]
        return Summaries(texts, failed)

    def _write(
        self, missing: Mapping[bytes, Source], found: dict[bytes, Summary], values: Values | None, progress: Progress
    ) -> dict[bytes, str]:
        """Write what is missing into ``found`` and the store; why not, for those that failed."""
        todo, wanted = list(missing), list(missing.values())
        problems: dict[bytes, str] = {}
        if not wanted:
            return problems
        with progress(f"summarising ({self.estimate(wanted) or self.type})", len(todo)) as advance:
            start = time.perf_counter()
            for number, summary in self.write(wanted):
                key = todo[number]
                found[key] = replace(summary, texts=tuple(text for text in summary.texts if text.strip()))
                if not found[key].texts:
                    problems[key] = summary.problem or "nothing was written"
                elif values is not None:
                    now = time.perf_counter()
                    values.put(
                        [(key, json.dumps(asdict(found[key]), ensure_ascii=False).encode())], seconds=now - start
                    )
                    start = now
                advance(1)
        return problems

    def _report(self, failed: Mapping[str, str], n: int, *, strict: bool) -> None:
        if not failed:
            return
        by_reason: dict[str, list[str]] = {}
        for id, why in failed.items():
            by_reason.setdefault(why, []).append(f"'{id}'")
        listed = "; ".join(f"{_some(ids)} ({why})" for why, ids in list(by_reason.items())[:_LISTED])
        more = f"; and {len(by_reason) - _LISTED} other reasons" if len(by_reason) > _LISTED else ""
        message = f"the summarizer {self.label()} made nothing of {len(failed)} of {n} texts: {listed}{more}"
        if strict:
            raise ModelError(f"{message}; the others are kept (without strict, these are keyed by their own text)")
        logger.warning("%s; they are keyed by their own text", message)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + rest


def _source_key(source: Source, *, by_id: bool) -> bytes:
    turns = [[turn.speaker, turn.text] for turn in source.turns]
    return text_key(source.id if by_id else json.dumps([source.text, turns], ensure_ascii=False))


def _read(values: Values | None, keys: Sequence[bytes]) -> dict[bytes, Summary]:
    found: dict[bytes, Summary] = {}
    for key, value in (values.get(keys) if values is not None else {}).items():
        fields = json.loads(value)
        found[key] = Summary(**(fields | {"texts": tuple(fields["texts"])}))
    return found
