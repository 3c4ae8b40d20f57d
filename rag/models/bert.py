"""A lean forward pass for encoders built like BERT, on a CPU."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Ints
from rag.models.linear import Product, linear

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BertForward", "places_of"]

_LARGEST = 1 << 29
"""Bytes of weights up to which there may be another copy of them."""

_ALIKE = {"BertModel": False, "RobertaModel": True, "XLMRobertaModel": True, "CamembertModel": True}
"""Classes of transformers that are BERT, to whether positions are counted from the padding's on."""


@dataclass(frozen=True)
class _Layer:
    """One layer: products with weights as functions, that of the wide part with its activation; the rest as tensors."""

    qkv: Product
    out: Product
    up: Product
    down: Product
    norms: tuple[Any, Any]


@dataclass(frozen=True)
class _Weights:
    """All layers, and the last one's queries apart from its keys and values."""

    layers: list[_Layer]
    last_q: Product
    last_kv: Product


class BertForward:
    """The last hidden states of a BERT, without padding and without a tree of modules.

    Texts stand one after another in a table of tokens, so products with weights see no padding; only attention is
    computed on texts padded to the longest of the batch. Queries, keys and values come from one product. Where only the
    first token of each text is read, the last layer is computed for these alone. In float32 the numbers are those of
    the library to 1e-6.

    Args:
        model: A model of transformers that :meth:`of` accepts; its weights are shared where they can be.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        config = model.config
        self._heads = int(config.num_attention_heads)
        self._width = int(config.hidden_size)
        self.padding = config.pad_token_id if _ALIKE[type(model).__name__] else None
        self._made: dict[str, _Weights] = {}

    @classmethod
    def of(cls, model: Any) -> BertForward | None:
        """The lean form of a model; None for any other architecture, device or attention."""
        config = getattr(model, "config", None)
        plain = (
            type(model).__name__ in _ALIKE
            and type(model).__module__.startswith("transformers.models.")
            and getattr(config, "position_embedding_type", None) in (None, "absolute")
            and not getattr(config, "is_decoder", False)
            and getattr(config, "_attn_implementation", "sdpa") in ("sdpa", "eager")
            and model.device.type == "cpu"
            and not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
            and not hasattr(model, "peft_config")
        )
        return cls(model) if plain else None

    def hidden(
        self,
        ids: Sequence[Sequence[int]],
        types: Sequence[Sequence[int]] | None,
        precision: str,
        *,
        first: bool = False,
    ) -> Tensor:
        """Hidden states of the last layer, float32: of all tokens, one text after another [tokens, width], or of each
        text's first token [texts, width].

        Args:
            ids: Tokens of each text, those included that the model adds; none is empty.
            types: Their types, where there is more than one.
            precision: ``float32``, ``bfloat16`` or ``int8``: how products with weights are computed.
            first: Whether only the first token of each text is wanted.
        """
        import torch
        from torch.nn import functional

        with torch.inference_mode():
            lengths = [len(text) for text in ids]
            n, longest, total = len(ids), max(lengths), sum(lengths)
            weights, dtype = self._weights(precision), torch.bfloat16 if precision == "bfloat16" else torch.float32
            layout = None if n * longest == total else _Layout(lengths, dtype)
            x = self._embedded(ids, types, lengths, total)
            width, heads = self._width, self._heads
            shape = (n, longest, 3, heads, width // heads)
            for number, layer in enumerate(weights.layers):
                only_first = first and number == len(weights.layers) - 1
                if only_first:
                    starts = torch.from_numpy(np.cumsum(lengths) - lengths)
                    kv = weights.last_kv(x.to(dtype))
                    kv = layout.padded(kv) if layout else kv
                    k, v = kv.view(n, longest, 2, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
                    x = x[starts]
                    q = weights.last_q(x.to(dtype)).view(n, 1, heads, -1).transpose(1, 2)
                else:
                    qkv = layer.qkv(x.to(dtype))
                    qkv = layout.padded(qkv) if layout else qkv
                    q, k, v = qkv.view(shape).permute(2, 0, 3, 1, 4).unbind(0)
                mask = layout.mask if layout else None
                seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
                seen = seen.reshape(-1, width)
                if layout and not only_first:
                    seen = seen.index_select(0, layout.rows)
                norm, last_norm = layer.norms
                x = functional.layer_norm(layer.out(seen) + x, (width,), norm.weight, norm.bias, norm.eps)
                y = layer.up(x.to(dtype))
                x = functional.layer_norm(layer.down(y) + x, (width,), last_norm.weight, last_norm.bias, last_norm.eps)
            return x

    def _embedded(
        self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None, lengths: list[int], total: int
    ) -> Tensor:
        import torch
        from torch.nn import functional

        table = self.model.embeddings
        flat = torch.from_numpy(np.fromiter(itertools.chain.from_iterable(ids), np.int64, total))
        if len(ids) == 1 and self.padding is None:
            positions = table.position_embeddings.weight[:total]
        else:
            places = torch.from_numpy(places_of(flat.numpy(), np.asarray(lengths), self.padding))
            positions = functional.embedding(places, table.position_embeddings.weight)
        kinds = table.token_type_embeddings.weight
        if types is None:
            kind = kinds[0]
        else:
            kind = kinds[torch.from_numpy(np.fromiter(itertools.chain.from_iterable(types), np.int64, total))]
        x = functional.embedding(flat, table.word_embeddings.weight) + kind + positions
        norm = table.LayerNorm
        return functional.layer_norm(x, (self._width,), norm.weight, norm.bias, norm.eps)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self.model.config.vocab_size)

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        rows = int(self.model.embeddings.position_embeddings.weight.shape[0])
        return rows - (0 if self.padding is None else self.padding + 1)

    @property
    def bytes(self) -> int:
        """Size of the weights."""
        return sum(weight.numel() * weight.element_size() for weight in self.model.parameters())

    @property
    def shape(self) -> dict[str, Any]:
        """Class and sizes, JSON-able."""
        config = self.model.config
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
        return {"class": type(self.model).__name__} | {name: getattr(config, name) for name in names}

    @property
    def fits_twice(self) -> bool:
        """Whether a second copy of the weights, laid out for whatever computes it, is worth its memory."""
        return self.bytes <= _LARGEST

    def _weights(self, precision: str) -> _Weights:
        """The weights in a precision, made when first asked for."""
        import torch
        from torch.nn import functional

        if precision in self._made:
            return self._made[precision]
        layers = []
        with torch.inference_mode():
            for layer in self.model.encoder.layer:
                own, after = layer.attention.self, layer.attention.output
                three = [(part.weight.detach(), part.bias.detach()) for part in (own.query, own.key, own.value)]
                weight, bias = (torch.cat(parts) for parts in zip(*three, strict=True))
                make = functools.partial(linear, precision, packed=self.fits_twice)
                width = self._width
                wide = layer.intermediate
                activation = functional.gelu if self.model.config.hidden_act == "gelu" else wide.intermediate_act_fn
                out, up, down = (
                    make(dense.weight.detach(), dense.bias.detach(), activation=follows)
                    for dense, follows in ((after.dense, None), (wide.dense, activation), (layer.output.dense, None))
                )
                norms = after.LayerNorm, layer.output.LayerNorm
                qkv = make(weight, bias)
                layers.append(_Layer(qkv, out, up, down, norms))
            last = make(weight[:width], bias[:width]), make(weight[width:], bias[width:])
        self._made[precision] = _Weights(layers, *last)
        return self._made[precision]


def places_of(flat: Ints, lengths: Ints, padding: int | None) -> Ints:
    """Row of each token in the table of positions, int64.

    Args:
        flat: Tokens of all texts, one after another.
        lengths: Tokens of each text.
        padding: The padding, of models that count from behind it, and do not count a padding that a text spells out.
    """
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    if padding is None:
        return np.arange(len(flat)) - starts
    real = flat != padding
    before = np.concatenate([[0], np.cumsum(real)])
    places: Ints = np.where(real, before[1:] - before[starts], 0) + padding
    return places


class _Layout:
    """Where tokens that stand one after another are in a table padded to the longest text.

    Args:
        lengths: Tokens of each text.
        dtype: Of the mask: that of queries and keys.
    """

    def __init__(self, lengths: Sequence[int], dtype: Any) -> None:
        import torch

        each = np.asarray(lengths, dtype=np.int64)
        longest = int(each.max())
        inside = np.arange(longest) < each[:, None]
        self.rows = torch.from_numpy(np.flatnonzero(inside))
        hidden = torch.zeros(inside.shape, dtype=dtype).masked_fill_(torch.from_numpy(~inside), -torch.inf)
        self.mask = hidden[:, None, None, :]
        starts = np.cumsum(each) - each
        self._places = torch.from_numpy((starts[:, None] + np.minimum(np.arange(longest), each[:, None] - 1)).ravel())

    def padded(self, x: Tensor) -> Tensor:
        """Rows of the table [texts x longest]; the last token of a text stands in its padding, which the mask hides."""
        return x.index_select(0, self._places)
