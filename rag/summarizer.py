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
from rag.conversation import Turn, turns_of
from rag.errors import ArtifactError, ConfigError, DataError, ModelError
from rag.execution import executed_elsewhere
from rag.progress import Progress, no_progress
from rag.store.key_value_cache import KeyValueCache, text_key
from rag.text.normal import is_blank
from rag.types import Document, Query

if TYPE_CHECKING:
    from rag.costs import Ledger
    from rag.store.store import Store

__all__ = ["Source", "Summaries", "Summarizer", "Summary"]

logger = logging.getLogger("rag.summarizers")

_BLOCK = 8
"""Texts that a worker summarizes at a time: each takes seconds."""

_LISTED = 10
"""Ids or reasons named in a message; there may be thousands."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be summarized.

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
        llm_tokens_written: Those of them that it wrote; they have a price of their own.
        seconds: From the first request to the last answer, waits between retries included.
        log_probability: Mean natural logarithm of the probability of the tokens written, where the model gives it.
    """

    texts: tuple[str, ...]
    problem: str = ""
    llm_calls: int = 0
    llm_tokens: int = 0
    llm_tokens_written: int = 0
    seconds: float = 0.0
    log_probability: float | None = None


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

    runs_model: ClassVar[bool] = False
    """Whether a model runs in this process, so that workers may hold it as well."""

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

    def prompted(self) -> Summarizer:
        """A twin that takes each text as the whole prompt, for those who ask a language model something of their own.

        Raises:
            ConfigError: It is not a language model, or was given a task or prompts.
        """
        raise ConfigError(
            f"needs a language model (chat_model, langchain, transformers), and {self.spec.label} is not one"
        )

    @property
    def described(self) -> str:
        """Itself in a few words, such as ``chat_model 'gpt-5-mini'``."""
        model = self.spec.arguments.get("model") or self.spec.arguments.get("name")
        return f"{self.type} '{model}'" if isinstance(model, str) else self.spec.label

    def price(self, tokens_in: float, tokens_out: float) -> float | None:
        """What so many tokens cost, or None when nobody knows."""
        return None

    def summarize(
        self,
        sources: Sequence[Source],
        *,
        store: Store | None = None,
        ledger: Ledger | None = None,
        progress: Progress = no_progress,
        strict: bool = False,
        otherwise: str = "they are keyed by their own text",
    ) -> Summaries:
        """Key texts of sources: from the store where it has them; each new one is kept there as soon as it is finished,
        so that a process killed half-way loses only those in work.

        Args:
            sources: In the order of the answer. Alike ones are written once.
            store: Where summaries are kept, by text, prompt, model and parameters; None keeps nothing.
            ledger: Where calls and tokens are booked; those of summaries that were in the store too, as they were.
            progress: Shows how far it is, and first what it will take.
            strict: Whether a source that nothing can be made of is an error.
            otherwise: What becomes of such sources, for the warning.

        Raises:
            ModelError: The summarizer cannot work, or ``strict`` and a source failed; what was finished is kept.
        """
        summaries = self._summaries(sources, store, ledger, progress)
        pairs = list(zip(sources, summaries, strict=True))
        failed = {source.id: made.problem for source, made in pairs if made is not None and not made.texts}
        self._report(failed, len(sources), strict=strict, otherwise=otherwise)
        texts = [made.texts if made and made.texts else (source.text,) for source, made in pairs]
        return Summaries(texts, failed)

    def ask(
        self,
        prompts: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        store: Store | None = None,
        ledger: Ledger | None = None,
        progress: Progress = no_progress,
        repetition: int = 0,
    ) -> list[Summary]:
        """What a language model answers to whole prompts, one text each, or the problem; for the model that
        :meth:`prompted` gives. Kept and booked as :meth:`summarize` does, by exact prompt and model.

        Args:
            prompts: In the order of the answer. Alike ones are asked once.
            ids: What they are called where those that failed are listed; by default their numbers.
            store: Where answers are kept; None keeps nothing.
            ledger: Where calls and tokens are booked.
            progress: Shows how far it is, and first what it will take.
            repetition: Another number asks the same again.

        Raises:
            ModelError: The model cannot work at all: no such model, no right to use it.
        """
        names = [str(number) for number, _ in enumerate(prompts)] if ids is None else ids
        sources = [Source(name, prompt) for name, prompt in zip(names, prompts, strict=True)]
        summaries = self._summaries(sources, store, ledger, progress, repetition=repetition)
        return [summary or Summary((), "the prompt is empty") for summary in summaries]

    def _summaries(
        self,
        sources: Sequence[Source],
        store: Store | None,
        ledger: Ledger | None,
        progress: Progress,
        *,
        repetition: int = 0,
    ) -> list[Summary | None]:
        """What was made of each source, with the problem where that is nothing; None for one without text."""
        values = None if self.by_id else self.spec.values_in(store, "summaries")
        keys = [_source_key(source, by_id=self.by_id, repetition=repetition) for source in sources]
        made, seconds = _read(values, list(dict.fromkeys(keys)))
        missing = {
            k: s for k, s in zip(keys, sources, strict=True) if k not in made and (not is_blank(s.text) or self.by_id)
        }
        if missing and values is not None and values.mode == "only":
            raise ArtifactError(
                f"{values.path}: lacks {len(missing)} of {len(set(keys))} texts of {self.spec.label} (those that "
                "failed are never kept), and nothing may be computed"
            )
        if missing:
            with values.computing() if values is not None else nullcontext():
                # Another process may have written them while this one waited.
                more, took = _read(values, list(missing))
                made, seconds = made | more, seconds + took
                self._write({k: s for k, s in missing.items() if k not in made}, made, values, progress)
        if ledger is not None:
            asked = [(s.id, made[key]) for s, key in zip(sources, keys, strict=True) if key in made]
            problems = {id: summary.problem for id, summary in asked if not summary.texts}
            ledger.called(self.described, len(asked), problems, is_model=not self.by_id)
            ledger.spend(seconds=seconds)
            for summary in made.values():
                ledger.spend(llm_calls=summary.llm_calls, llm_tokens=summary.llm_tokens)
        return [made.get(key) for key in keys]

    def _write(
        self,
        missing: Mapping[bytes, Source],
        made: dict[bytes, Summary],
        values: KeyValueCache | None,
        progress: Progress,
    ) -> None:
        """Write what is missing into ``made``, and what is no failure into the store."""
        keys, sources = list(missing), list(missing.values())
        if not sources:
            return
        with progress(f"writing ({self.estimate(sources) or self.type})", len(keys)) as advance:
            start = time.perf_counter()
            for number, summary in self._written(sources):
                key = keys[number]
                made[key] = replace(summary, texts=tuple(text for text in summary.texts if text.strip()))
                if not made[key].texts:
                    made[key] = replace(made[key], problem=summary.problem or "nothing was written")
                elif values is not None:
                    now = time.perf_counter()
                    values.put([(key, json.dumps(asdict(made[key]), ensure_ascii=False).encode())], seconds=now - start)
                    start = now
                advance(1)

    def _written(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        """:meth:`write`, wherever it is done: elsewhere only by models that run there, since those that are asked over
        the network have limits that workers do not know of.
        """
        execution = executed_elsewhere(self) if self.runs_model else None
        if execution is None:
            yield from self.write(sources)
            return
        blocks = [list(sources[first : first + _BLOCK]) for first in range(0, len(sources), _BLOCK)]
        for block, written in execution.done(self, [("write", (part,)) for part in blocks]):
            for number, summary in written:
                yield block * _BLOCK + number, summary

    def _report(self, failed: Mapping[str, str], n: int, *, strict: bool, otherwise: str) -> None:
        if not failed:
            return
        by_reason: dict[str, list[str]] = {}
        for id, why in failed.items():
            by_reason.setdefault(why, []).append(f"'{id}'")
        listed = "; ".join(f"{_some(ids)} ({why})" for why, ids in list(by_reason.items())[:_LISTED])
        more = f"; and {len(by_reason) - _LISTED} other reasons" if len(by_reason) > _LISTED else ""
        message = f"the summarizer {self.spec.label} made nothing of {len(failed)} of {n} texts: {listed}{more}"
        if strict:
            raise ModelError(f"{message}; the others are cached (without strict, these are keyed by their own text)")
        logger.warning("%s; %s", message, otherwise)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + rest


def _source_key(source: Source, *, by_id: bool, repetition: int = 0) -> bytes:
    turns = [[turn.speaker, turn.text] for turn in source.turns]
    again = [repetition] if repetition else []
    return text_key(source.id if by_id else json.dumps([source.text, turns, *again], ensure_ascii=False))


def _read(values: KeyValueCache | None, keys: Sequence[bytes]) -> tuple[dict[bytes, Summary], float]:
    """What is kept, and the seconds it took then."""
    if values is None:
        return {}, 0.0
    made: dict[bytes, Summary] = {}
    kept, seconds = values.get_timed(keys)
    for key, value in kept.items():
        fields = json.loads(value)
        made[key] = Summary(**(fields | {"texts": tuple(fields["texts"])}))
    return made, seconds
