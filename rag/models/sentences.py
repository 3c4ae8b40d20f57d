"""Encoding many texts by a sentence-transformers model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.models.batching import WeightedProgress, default_budget, token_batches
from rag.models.bert import BertForward
from rag.models.forwards import Backend, Body, Forwards
from rag.models.precision import Precision, exclusive, inference
from rag.models.tokens import Tokenizing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

__all__ = ["Encoded", "Reading", "SentenceEncoder"]

_KEPT = 1 << 23
"""Numbers of token vectors that are remembered of the last queries: 32 MiB of float32."""

_EQUAL = 1e-5
"""Largest difference of a vector's numbers for which a lean forward pass is that of the library."""

_SAMPLE = [
    "a",
    "where do words go",
    "Each of these few words stands for a text that is somewhat longer than the others.",
]


@dataclass(frozen=True)
class Reading:
    """How texts are read.

    Args:
        query: Whether they are queries; else documents.
        prompt: Put before each; None takes the model's own.
        max_length: Longest text in tokens; None takes the model's own.
        truncate_dim: Keep only the first dimensions; None keeps all.
        normalize: Scale vectors to length 1.
        precision: What to compute in; ``auto`` is not taken.
        backend: What computes it.
        budget: Most tokens of a forward pass; None takes what suits the processor.
        most: Most texts of a forward pass; None has no limit but the budget.
    """

    query: bool
    prompt: str | None = None
    max_length: int | None = None
    truncate_dim: int | None = None
    normalize: bool = True
    precision: Precision = "float32"
    backend: Backend = "torch"
    budget: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Encoded:
    """What a pass gives.

    Args:
        vectors: Of the texts, float32 [n, d].
        tokens: Of each text's tokens, of length 1, float32 of queries, float16 of documents [tokens, width]; None where
            they were not asked for.
    """

    vectors: Vectors
    tokens: list[Vectors] | None


class SentenceEncoder:
    """A model of sentence-transformers, its texts tokenized once and batched by tokens, by a lean forward pass where
    the architecture has one.

    The lean pass is compared with the library's on a few texts before it is used; the library encodes where it is not
    there, or does not agree.

    Args:
        model: The loaded model.
        name: What it is called, for messages.
        content: Gives the identity of its weights, under which exports are kept.
    """

    def __init__(self, model: SentenceTransformer, name: str = "", content: Callable[[], str] | None = None) -> None:
        self.model = model
        self._tokenizing = Tokenizing(model)
        self._last: tuple[Sequence[str], Reading, list[Vectors]] | None = None
        lean = _lean_body(model)
        if lean is not None and not self._agrees(lean):
            lean = None
        kind = type(getattr(model[0], "auto_model", model[0])).__name__
        self._forwards = Forwards(name, kind, lean, content)

    def encode(
        self,
        texts: Sequence[str],
        how: Reading,
        *,
        tokens: bool | None = False,
        advance: Callable[[int], None] | None = None,
    ) -> Encoded:
        """Vectors of texts, in their order.

        Args:
            texts: Any number.
            how: How to read them.
            tokens: Whether vectors of tokens are wanted, too; None for where they cost nothing more, and are few.
            advance: Called with the number of texts done since the last call, each text counted by its tokens.
        """
        with exclusive():
            read = self._reader(texts, how)
            if tokens is None:
                tokens = read.has_tokens and sum(read.lengths) * self._width < _KEPT
            dimension = self._dimension(how)
            vectors = np.empty((len(texts), dimension), dtype=np.float32)
            kept: list[Any] | None = [None] * len(texts) if tokens else None
            budget = how.budget or default_budget(self.model.device.type)
            progress = WeightedProgress(read.lengths, advance)
            for rows in token_batches(read.lengths, budget, how.most):
                vectors[rows], hidden = read.batch(rows, tokens)
                if kept is not None:
                    for row, states in zip(rows.tolist(), hidden, strict=True):
                        kept[row] = states if how.query else states.astype(np.float16)
                progress.done(rows)
            return Encoded(vectors, kept)

    def encode_queries(self, texts: Sequence[str], how: Reading) -> Vectors:
        """Vectors of queries. Those of their tokens are kept until :meth:`query_tokens` asks for them, or other queries
        are encoded, where that costs nothing more: late interaction reads the same queries next.
        """
        encoded = self.encode(texts, how, tokens=None)
        self._last = (list(texts), how, encoded.tokens) if encoded.tokens is not None else None
        return encoded.vectors

    def query_tokens(self, texts: Sequence[str], how: Reading) -> list[Vectors]:
        """Vectors of the tokens of each query; once from the pass that :meth:`encode_queries` has just made of them."""
        last, self._last = self._last, None
        if last is not None and last[1] == how and last[0] == list(texts):
            return last[2]
        tokens = self.encode(texts, how, tokens=True).tokens
        assert tokens is not None
        return tokens

    def _reader(self, texts: Sequence[str], how: Reading) -> _BodyReader | _LibraryReader:
        if self._forwards.lean is None:
            self._forwards.of(how.backend, how.precision, 0)
            return _LibraryReader(self.model, texts, self._tokenizing.lengths(texts, how.max_length), how)
        ids = self._tokens(texts, how)
        body = self._forwards.of(how.backend, how.precision, sum(map(len, ids)))
        if body is None:
            return _LibraryReader(self.model, texts, [len(tokens) for tokens in ids], how)
        return _BodyReader(body, self.model, ids, how)

    def _tokens(self, texts: Sequence[str], how: Reading) -> list[list[int]]:
        prompt = self._prompt(how)
        return self._tokenizing(texts if not prompt else [prompt + text for text in texts], how.max_length)[0]

    def _prompt(self, how: Reading) -> str | None:
        if how.prompt is not None:
            return how.prompt
        prompts = self.model.prompts or {}
        names = ("query",) if how.query else ("document", "passage", "corpus")
        name = next((name for name in names if name in prompts), self.model.default_prompt_name)
        return None if name is None else prompts.get(name)

    def _agrees(self, lean: BertForward) -> bool:
        """Whether a lean pass gives the library's vectors."""
        how, rows = Reading(query=False, prompt=""), np.arange(len(_SAMPLE))
        with exclusive():
            ids = self._tokens(_SAMPLE, how)
            expected = _LibraryReader(self.model, _SAMPLE, [len(tokens) for tokens in ids], how).batch(rows, True)
            actual = _BodyReader(lean, self.model, ids, how).batch(rows, True)
        pairs = [(expected[0], actual[0]), *zip(expected[1], actual[1], strict=True)]
        return all(a.shape == b.shape and bool(np.abs(a - b).max() < _EQUAL) for a, b in pairs)

    @property
    def _width(self) -> int:
        return int(getattr(self.model[0], "get_embedding_dimension", lambda: 0)() or self._dimension(Reading(False)))

    def _dimension(self, how: Reading) -> int:
        full = int(self.model.get_embedding_dimension() or 0)
        return min(full, how.truncate_dim) if how.truncate_dim else full


class _BodyReader:
    """Reads batches of texts by a forward pass that gives hidden states; pooling is own, what follows the model's."""

    def __init__(self, body: Body, model: SentenceTransformer, ids: list[list[int]], how: Reading) -> None:
        self._body, self._ids, self._how = body, ids, how
        self._mean = model[1].pooling_mode == "mean"
        self._after = list(model)[2:]
        self.has_tokens = self._mean  # else only first tokens are finished
        self.lengths = [len(tokens) for tokens in ids]

    def batch(self, rows: Ints, tokens: bool) -> tuple[Vectors, list[Vectors]]:
        import torch

        places = rows.tolist()
        lengths = [self.lengths[row] for row in places]
        first = not self._mean and not tokens
        with torch.inference_mode():
            ids = [self._ids[row] for row in places]
            hidden = self._body.hidden(ids, None, self._how.precision, first=first)
            vectors = _finished(self._pooled(hidden, lengths, first), self._after, self._how)
            return vectors, _unit(hidden, lengths) if tokens else []

    def _pooled(self, hidden: Tensor, lengths: list[int], first: bool) -> Tensor:
        import torch

        if first:
            return hidden
        if len(lengths) == 1:
            return hidden.mean(dim=0, keepdim=True) if self._mean else hidden[:1]
        counts = torch.tensor(lengths)
        if not self._mean:
            return hidden[counts.cumsum(0) - counts]
        rows = torch.repeat_interleave(torch.arange(len(lengths)), counts)
        return hidden.new_zeros(len(lengths), hidden.shape[1]).index_add_(0, rows, hidden) / counts[:, None]


class _LibraryReader:
    """Reads batches of texts by sentence-transformers itself."""

    has_tokens = False

    def __init__(self, model: SentenceTransformer, texts: Sequence[str], lengths: list[int], how: Reading) -> None:
        self._model, self._texts, self._how = model, texts, how
        self.lengths = lengths

    def batch(self, rows: Ints, tokens: bool) -> tuple[Vectors, list[Vectors]]:
        how, options = self._how, dict[str, Any]()
        if how.prompt is not None:
            options["prompt"] = how.prompt
        if how.max_length is not None:
            options["processing_kwargs"] = {"text": {"max_length": how.max_length, "truncation": True}}
        encode: Callable[..., Any] = self._model.encode_query if how.query else self._model.encode_document
        with inference(how.precision, self._model.device.type):
            items = encode(
                [self._texts[row] for row in rows.tolist()],
                batch_size=len(rows),
                normalize_embeddings=how.normalize,
                truncate_dim=how.truncate_dim,
                show_progress_bar=False,
                **(options | ({"output_value": None} if tokens else {"convert_to_tensor": True})),
            )
        if not tokens:
            vectors: Vectors = items.float().cpu().numpy()
            return vectors.reshape(len(rows), -1), []
        vectors = np.stack([item["sentence_embedding"].float().cpu().numpy() for item in items])
        if how.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        states = [item["token_embeddings"][item["attention_mask"].bool()] for item in items]
        return vectors, [_unit(text_states, [len(text_states)])[0] for text_states in states]


def _finished(pooled: Tensor, after: list[Any], how: Reading) -> Vectors:
    """What follows pooling: the model's own modules, fewer dimensions, length 1."""
    import torch

    features = {"sentence_embedding": pooled}
    for module in after:
        features = module(features)
    finished = features["sentence_embedding"]
    if how.truncate_dim is not None:
        finished = finished[:, : how.truncate_dim]
    if how.normalize:
        finished = torch.nn.functional.normalize(finished, dim=1)
    vectors: Vectors = finished.float().numpy()
    return vectors


def _unit(hidden: Tensor, lengths: list[int]) -> list[Vectors]:
    """Token vectors of length 1, text by text."""
    import torch

    unit = torch.nn.functional.normalize(hidden.float(), dim=-1).cpu().numpy()
    return np.split(unit, np.cumsum(lengths)[:-1])


def _lean_body(model: Any) -> BertForward | None:
    """The lean forward pass of a model whose other parts are known as well; None for any other."""
    names = [type(module).__name__ for module in model]
    if names[:2] != ["Transformer", "Pooling"] or not set(names[2:]) <= {"Normalize", "Dense"}:
        return None
    body, pooling = model[0], model[1]
    vectors = [getattr(module, "module_input_name", "sentence_embedding") for module in list(model)[2:]]
    known = (
        Tokenizing(model).is_plain
        and body.modality_config["text"] == {"method": "forward", "method_output_name": "last_hidden_state"}
        and pooling.pooling_mode in ("mean", "cls")
        and pooling.include_prompt
        and set(vectors) <= {"sentence_embedding"}
    )
    return BertForward.of(body.auto_model) if known else None
