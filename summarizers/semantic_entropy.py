"""How unsure a language model is of an answer: whether it gives the same answer again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rag.answer import Answer
from rag.component import Component
from rag.conversation import render
from rag.embedders.base import Embedder
from rag.errors import ConfigError, ModelError
from rag.listening import listening
from rag.progress import no_progress
from rag.remarks import Remark
from rag.summarizer import Summarizer, Summary
from rag.summarizers.students.base import unit
from rag.text.words import words_of

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["SemanticEntropy", "Uncertainty", "semantic_entropy"]

_ENTAILS = (
    "Two answers to one question follow.\n\nQuestion: {question}\n\nFirst answer: {first}\n\n"
    "Second answer: {second}\n\nWhoever accepts the first answer to this question, must they accept the second one as "
    "well? Write one word, yes or no."
)


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What samples of an answer tell about it.

    Args:
        entropy: Semantic entropy in nats: 0 where all samples mean the same, ``log(samples)`` where all differ; None
            where it is not known.
        meanings: Number of samples of each meaning, most first.
        llm_calls: Requests it took, those of the judge included.
        llm_tokens: Tokens read and written.
        money: What they cost, where prices are known.
    """

    entropy: float | None = None
    meanings: tuple[int, ...] = ()
    llm_calls: int = 0
    llm_tokens: int = 0
    money: float | None = 0.0


class SemanticEntropy(Component):
    """Experimental: samples several answers to the same prompt, groups those that mean the same, and takes the entropy
    over the groups: high where a language model makes something up, whatever words it uses (Farquhar et al. 2024).

    Two answers mean the same when each entails the other, in the judgment of a language model asked about both
    directions, or when their vectors are near. A sample is compared with the first one of each group, in the order they
    came, as in the paper; samples of the same words are one, without asking.

    Args:
        writer: The language model that is sampled; normally that of ``generate``, with a ``temperature`` of about 1.
        samples: Number of answers to sample for each query.
        judge: The language model that is asked whether one answer entails another, best with ``temperature: 0``. None
            asks the writer.
        embedder: Embedder of the answers, for groups by cosine instead of a judge: no calls, but it takes "in 1969" and
            "in 1970" for alike.
        similarity: Smallest cosine of answers that mean the same.
        weights: What each sample counts: ``counts``: 1, the discrete form; ``likelihood``: its probability normalized
            by length, ``exp`` of the mean log-probability of its tokens (Malinin and Gales 2021), which the model must
            give (``chat_model`` with ``options: {logprobs: true}``).
    """

    kind: ClassVar[str] = "uncertainty"
    type = "semantic_entropy"

    def __init__(
        self,
        *,
        writer: Summarizer,
        samples: Annotated[int, Field(ge=2, le=100)] = 10,
        judge: Summarizer | None = None,
        embedder: Embedder | None = None,
        similarity: Annotated[float, Field(gt=0, le=1)] = 0.9,
        weights: Literal["counts", "likelihood"] = "counts",
    ) -> None:
        for name, model in (("writer", writer), ("judge", judge)):
            try:
                if model is not None:
                    model.prompted()
            except ConfigError as error:
                raise ConfigError(str(error), parameter=name) from None
        if judge is not None and embedder is not None:
            raise ConfigError("must be left out where an embedder tells which answers are alike", parameter="judge")
        if writer.spec.arguments.get("temperature") == 0:
            raise ConfigError("must have a temperature above 0, or all samples are alike", parameter="writer")
        self.writer = writer
        self.samples = samples
        self.judge = judge
        self.embedder = embedder
        self.similarity = similarity
        self.weights: Literal["counts", "likelihood"] = weights

    def measure(self, batch: QueryBatch, rows: Sequence[int], prompts: Sequence[str]) -> list[Uncertainty]:
        """The uncertainty of the answers to some queries of a batch.

        Args:
            batch: The queries.
            rows: Positions of the queries.
            prompts: The prompt of each that is answered.

        Raises:
            ModelError: ``weights: likelihood``, and the model gives no probabilities.
        """
        with listening(None):  # who listens wants the answer alone
            first = dict(zip(reversed(prompts), reversed(rows), strict=True))  # of prompts that are alike, it pays
            once = dict(zip(first, self._measured(batch, list(first.values()), list(first)), strict=True))
        free = {prompt: replace(unsure, llm_calls=0, llm_tokens=0, money=0.0) for prompt, unsure in once.items()}
        for prompt, row in zip(prompts, rows, strict=True):
            if remark := self._lack(once[prompt]):
                batch.remark(batch.queries[row], remark)
        return [(once if first[p] == row else free)[p] for p, row in zip(prompts, rows, strict=True)]

    def _lack(self, unsure: Uncertainty) -> Remark | None:
        """What is said of an answer whose samples were not all there, or could not be grouped."""
        lost = self.samples - sum(unsure.meanings)
        if unsure.entropy is None:
            why = "fewer than two samples were written, or the judge wrote neither yes nor no"
            return Remark("entropy_unknown", f"{self.spec.label} does not know how sure the answer is: {why}")
        if lost:
            return Remark("samples_lost", f"{self.spec.label}: {lost} of {self.samples} samples were not written")
        return None

    def _measured(self, batch: QueryBatch, rows: Sequence[int], prompts: Sequence[str]) -> list[Uncertainty]:
        written = [self._ask(self.writer, batch, prompts, repetition) for repetition in range(1, self.samples + 1)]
        samples = [[answer for answer in of_row if answer.texts] for of_row in zip(*written, strict=True)]
        spent = [_Spent(self.writer, of_row) for of_row in zip(*written, strict=True)]
        questions = [render(q.turns) if q.turns else q.text for q in (batch.queries[row] for row in rows)]
        texts = [[Answer(answer.texts[0]).plain for answer in of_row] for of_row in samples]
        if self.embedder is None:
            groups = self._by_judge(batch, questions, texts, spent)
        else:
            groups = self._by_vectors(batch, self.embedder, texts)
        return [self._uncertainty(*of_row) for of_row in zip(samples, groups, spent, strict=True)]

    def _uncertainty(self, samples: Sequence[Summary], groups: Sequence[int] | None, spent: _Spent) -> Uncertainty:
        costs = spent.calls, spent.tokens, spent.money
        if groups is None or len(samples) < 2:
            return Uncertainty(None, (), *costs)
        shares: Sequence[float] = [1.0] * len(samples)
        if self.weights == "likelihood":
            logs = [sample.log_probability for sample in samples]
            known = [log for log in logs if log is not None]
            if len(known) < len(logs):
                raise ModelError(
                    f"{self.spec.label}: {self.writer.spec.label} gave no log-probabilities, which weights: likelihood "
                    "needs (chat_model: options: {logprobs: true})"
                )
            shares = np.exp(np.array(known) - max(known)).tolist()
        sizes = sorted(Counter(groups).values(), reverse=True)
        return Uncertainty(semantic_entropy(groups, shares), tuple(sizes), *costs)

    def _by_vectors(
        self, batch: QueryBatch, embedder: Embedder, texts: Sequence[Sequence[str]]
    ) -> list[list[int] | None]:
        distinct = {text: row for row, text in enumerate(dict.fromkeys(text for of_row in texts for text in of_row))}
        if not distinct:
            return [[] for _ in texts]
        vectors = unit(batch.embed_documents(embedder, list(distinct)))
        groups: list[list[int] | None] = []
        for of_row in texts:
            first: list[str] = []
            mine = []
            for text in of_row:
                cosines = vectors[[distinct[other] for other in first]] @ vectors[distinct[text]]
                near = np.flatnonzero(cosines >= self.similarity - 1e-6)
                mine.append(int(near[0]) if len(near) else len(first))
                first += [] if len(near) else [text]
            groups.append(mine)
        return groups

    def _by_judge(
        self, batch: QueryBatch, questions: Sequence[str], texts: Sequence[Sequence[str]], spent: Sequence[_Spent]
    ) -> list[list[int] | None]:
        """Groups of the samples of each query; None where a reply of the judge could not be read. All queries' nth
        samples are judged together.
        """
        judge = self.judge or self.writer
        groups: list[list[int] | None] = [[] for _ in texts]
        known: list[dict[tuple[str, ...], int]] = [{} for _ in texts]
        first: list[list[str]] = [[] for _ in texts]
        for turn in range(max(map(len, texts), default=0)):
            new = [
                row
                for row, of_row in enumerate(texts)
                if groups[row] is not None and turn < len(of_row) and _words(of_row[turn]) not in known[row]
            ]
            pairs = [
                (row, pair)
                for row in new
                for other in first[row]
                for pair in ((texts[row][turn], other), (other, texts[row][turn]))
            ]
            prompts = [_filled(questions[row], *pair) for row, pair in pairs]
            replies = iter(self._ask(judge, batch, prompts, 0))
            for row in new:
                mine = [(next(replies), next(replies)) for _ in first[row]]
                spent[row].add(judge, [reply for both in mine for reply in both])
                verdicts = [(_yes(there), _yes(back)) for there, back in mine]
                if any(None in both for both in verdicts):
                    groups[row] = None
                    continue
                group = next((n for n, both in enumerate(verdicts) if all(both)), len(first[row]))
                first[row] += [texts[row][turn]] if group == len(first[row]) else []
                known[row][_words(texts[row][turn])] = group
            for row, of_row in enumerate(texts):
                joined = groups[row]
                if joined is not None and turn < len(of_row):
                    joined.append(known[row][_words(of_row[turn])])
        return groups

    def _ask(self, model: Summarizer, batch: QueryBatch, prompts: Sequence[str], repetition: int) -> list[Summary]:
        return model.prompted().ask(
            prompts,
            store=batch.store,
            ledger=batch.ledger,
            progress=batch.progress or no_progress,
            repetition=repetition,
        )


class _Spent:
    """What the calls for one query have cost."""

    def __init__(self, model: Summarizer, summaries: Sequence[Summary]) -> None:
        self.calls = self.tokens = 0
        self.money: float | None = 0.0
        self.add(model, summaries)

    def add(self, model: Summarizer, summaries: Sequence[Summary]) -> None:
        for summary in summaries:
            self.calls += summary.llm_calls
            self.tokens += summary.llm_tokens
            written = summary.llm_tokens_written
            price = model.price(summary.llm_tokens - written, written)
            self.money = None if price is None or self.money is None else self.money + price


def semantic_entropy(groups: Sequence[int], shares: Sequence[float]) -> float:
    """Entropy over groups of samples, in nats.

    Args:
        groups: Group of each sample.
        shares: Weight of each sample, above 0; all alike for the discrete form.

    Example:
        >>> round(semantic_entropy([0, 0, 1, 1], [1, 1, 1, 1]), 4)  # two meanings, as often each: log 2
        0.6931
    """
    totals = np.bincount(groups, weights=shares)
    p = totals[totals > 0] / totals.sum()
    return float(max(-(p * np.log(p)).sum(), 0.0))


def _filled(question: str, first: str, second: str) -> str:
    parts = {"question": question, "first": first, "second": second}
    head, *rest = _ENTAILS.split("{")
    return head + "".join(parts[name] + text for name, _, text in (piece.partition("}") for piece in rest))


def _words(text: str) -> tuple[str, ...]:
    return tuple(words_of(text))


def _yes(reply: Summary) -> bool | None:
    """Whether a judge said yes; None if it said neither yes nor no."""
    first = (words_of(reply.texts[0]) or [""])[0] if reply.texts else ""
    return {"yes": True, "no": False}.get(first)
