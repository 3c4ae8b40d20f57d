"""Questions that ask for several things, each searched by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Ints
from rag.component import Tunable
from rag.errors import ConfigError
from rag.on_passages import OnPassages
from rag.progress import no_progress
from rag.retrievers.decomposition.coverage import fused_by_coverage
from rag.retrievers.decomposition.prompts import (
    answer_prompt,
    parts_of_reply,
    references,
    split_prompt,
    with_answers,
)
from rag.retrievers.decomposition.rules import parts_by_rules
from rag.stage import Retriever
from rag.summarizer import Summarizer

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import UpdateContext

__all__ = ["Decomposed"]

logger = logging.getLogger("rag.retrievers")

_READ = 3
"""Passages from which a part is answered."""
_LONGEST = 2_000
"""Characters of a passage that is read."""
_UNKNOWN = "unknown"


class Decomposed(OnPassages, Retriever):
    """Splits a question into parts, searches each and the whole, and brings the lists together so that every part is
    covered (decomposed prompting, Khot et al., ICLR 2023; DecompT5, Zhou et al., EMNLP 2022).

    Without a ``writer`` rules split at sentences, comparisons, and conjunctions of English. With one, a language model
    splits; its replies are kept in the store by prompt and model. A question that cannot be split is searched whole.
    Scores are shares of what is asked, from 0 to 1: see ``coverage``.

    Args:
        retriever: The retriever that searches the question and its parts.
        writer: The language model that splits questions: ``chat_model``, ``langchain`` or ``transformers``, without
            task or prompts of its own; None for rules.
        sequential: Search the parts in turn, each with the answers of those before. A model refers to them by ``#1``,
            and answers a part from its best passages where another refers to it. With rules, the title of the best
            document for a part (or the first sentence of its passage) is added to the next part.
        max_parts: Parts of a question at most; further ones are counted, and left out.
        question_weight: Weight of the whole question's list against the mean of the parts' lists, 0 to 1.
        coverage: How much of a part the best document of its list covers: 0 adds the lists up, 1 turns to the other
            parts after one good document.
        top_k: Documents returned.
    """

    type = "decomposed"

    def __init__(
        self,
        *,
        retriever: Retriever,
        writer: Summarizer | None = None,
        sequential: bool = False,
        max_parts: Annotated[int, Field(ge=2, le=20)] = 4,
        question_weight: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.3, 0.5, 0.7), gain=0.002)] = 0.5,
        coverage: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.0, 0.3, 0.6), gain=0.001)] = 0.3,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        try:
            if writer is not None:
                writer.prompted()
        except ConfigError as error:
            raise ConfigError(str(error), parameter="writer") from None
        self.retriever = retriever
        self.writer = writer
        self.sequential = sequential
        self.max_parts = max_parts
        self.question_weight = question_weight
        self.coverage = coverage
        self.top_k = top_k

    def update(self, context: UpdateContext, kept: Ints) -> None:
        for _, child in self.spec.children():
            context.fit(child)
        self._passages = context.passages

    @property
    def _caches_state(self) -> bool:
        return False

    def retrieve(self, batch: QueryBatch) -> Candidates:
        _ = self.passages
        part = batch.for_part("whole")
        whole = part.found_by(self.retriever)
        part.record(part.step.name, whole)
        parts = self._split(batch)
        tables: list[Candidates] = []
        answers: list[list[str]] = [[] for _ in parts]
        for turn in range(max(map(len, parts), default=0)):
            rows = np.flatnonzero([len(of_query) > turn for of_query in parts])
            texts = [self._text(parts[row][turn], answers[row]) for row in rows]
            table = self._searched(batch, turn, rows, texts)
            tables.append(table.spread(rows, len(batch)))
            if self.sequential:
                needed = [self._is_needed(parts[row], turn) for row in rows]
                short_answers = self._answers(batch, table, texts, needed)
                for row, answer in zip(rows.tolist(), short_answers, strict=True):
                    answers[row].append(answer)
        return fused_by_coverage(
            whole, tables, question_weight=self.question_weight, coverage=self.coverage, top_k=self.top_k
        )

    def _split(self, batch: QueryBatch) -> list[list[str]]:
        """The parts of each query; none of one that is not split."""
        texts = batch.texts
        if self.writer is None:
            parts = [parts_by_rules(text) for text in texts]
        else:
            replies = self._ask(batch, [split_prompt(t, self.max_parts, sequential=self.sequential) for t in texts])
            parts = [parts_of_reply(reply or "", text) for reply, text in zip(replies, texts, strict=True)]
        longer = sum(len(of_query) > self.max_parts for of_query in parts)
        if longer:
            logger.warning(
                "%d of %d queries have more than max_parts (%d) parts: the further ones are not searched",
                longer,
                len(batch),
                self.max_parts,
            )
        return [of_query[: self.max_parts] for of_query in parts]

    def _searched(self, batch: QueryBatch, turn: int, rows: Ints, texts: Sequence[str]) -> Candidates:
        """What the parts of some queries find, [rows, k]."""
        some = batch.view(rows=rows, trace=None).for_part(turn + 1)
        asked = [replace(query, text=text) for query, text in zip(some.queries, texts, strict=True)]
        table = some.with_queries(asked).found_by(self.retriever)
        part = batch.for_part(turn + 1)
        row_of = np.full(len(batch), -1, dtype=np.int64)
        row_of[rows] = np.arange(len(rows))
        part.record(
            part.step.name, table.spread(rows, len(batch)), lambda at: [texts[row_of[row]] for row in at[0].tolist()]
        )
        return table

    # -- one part after another --------------------------------------------------------------------------------------

    def _text(self, part: str, answers: list[str]) -> str:
        if not self.sequential or not answers:
            return part
        if self.writer is not None:
            return with_answers(part, answers)
        return f"{part} {answers[-1]}".rstrip()

    def _is_needed(self, parts: Sequence[str], turn: int) -> bool:
        """Whether a later part looks at the answer of this one."""
        later = parts[turn + 1 :]
        return bool(later) if self.writer is None else any(turn in references(part) for part in later)

    def _answers(self, batch: QueryBatch, table: Candidates, texts: Sequence[str], needed: Sequence[bool]) -> list[str]:
        """A short answer to each part: what stands in its place in a later one. A part that has no answer stands there
        itself, with rules nothing.
        """
        answers = ["" if self.writer is None else text for text in texts]
        rows = np.flatnonzero(np.asarray(needed, dtype=bool) & (table.counts > 0))
        if self.writer is None:
            replies: Sequence[str | None] = self._bridges(table.rows(rows).head(1))
        else:
            replies = self._ask(
                batch, [answer_prompt(texts[row], self._read(table.passages[row])) for row in rows.tolist()]
            )
        for row, answer in zip(rows.tolist(), replies, strict=True):
            short = (answer or "").strip(" .\n")
            if short and short.casefold() != _UNKNOWN:
                answers[row] = short
        return answers

    def _read(self, passages: Ints) -> list[str]:
        best = passages[passages >= 0][:_READ]
        return [text[:_LONGEST] for text in self.passages.texts(best)]

    def _bridges(self, best: Candidates) -> list[str]:
        """The title of each query's best document, or the first sentence of its passage."""
        from sentencex import segment

        documents = self.passages.corpus.documents(best.documents[:, 0])
        texts = self.passages.texts(best.passages[:, 0])
        return [
            str(document.metadata.get("title") or next(iter(segment("en", text[:_LONGEST])), ""))
            for document, text in zip(documents, texts, strict=True)
        ]

    def _ask(self, batch: QueryBatch, prompts: Sequence[str]) -> list[str | None]:
        """Replies to prompts; None where the model failed: then no store keeps the lists."""
        assert self.writer is not None
        model, progress = self.writer.prompted(), batch.progress or no_progress
        replies = model.ask(prompts, store=batch.store, ledger=batch.ledger, progress=progress)
        if any(not reply.texts for reply in replies):
            batch.mark_uncacheable("parts of questions")
        return [reply.texts[0] if reply.texts else None for reply in replies]
