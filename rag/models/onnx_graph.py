"""BERT as an ONNX graph, written from the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import Floats

__all__ = ["GRAPH_VERSION", "INPUTS", "bert_graph"]

GRAPH_VERSION = 1
"""Raised when :func:`bert_graph` begins to write something else."""

INPUTS = ("ids", "types", "places", "padded", "flat", "mask", "rows")
"""Of the graph, in order: tokens of all texts one after another, their types and rows in the table of positions
[tokens]; the token at each place of the table padded to the longest text, or the number of tokens where there is none
[texts, longest]; the place of each token in that table [tokens]; 1 where a place has a token, else 0 [texts, longest];
the tokens whose last states are wanted [any number]."""

_ACTIVATIONS = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}

_OPSET, _IR = 20, 10
"""What ONNX Runtime 1.17 and newer read."""

_MICROSOFT = "com.microsoft"


def bert_graph(model: Any, precision: str, *, reduced: bool = False) -> Any:
    """The ONNX model of a BERT's last hidden states: float32 [rows, width] from :data:`INPUTS`. None where its
    activation has no form in ONNX.

    Args:
        model: A model of transformers that :meth:`rag.models.bert.BertForward.of` accepts.
        precision: ``float32``, or ``int8``: products with weights in whole numbers, weights with a scale for each
            output, activations with one for each product, found as they come.
        reduced: Use 7 of the 8 bits of weights: without VNNI, sums of two products would not fit 16 bits.
    """
    if model.config.hidden_act not in _ACTIVATIONS:
        return None
    return _Graph(model, precision, reduced).made()


class _Graph:
    """Nodes and constants of a graph that is being written."""

    def __init__(self, model: Any, precision: str, reduced: bool) -> None:
        self._model, self._precision = model, precision
        self._most = 63 if reduced else 127
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def made(self) -> Any:
        from onnx import TensorProto, helper

        model = self._model
        width, heads = int(model.config.hidden_size), int(model.config.num_attention_heads)
        x = self._embedded()
        nothing = self._constant(np.zeros((1, 3 * width), np.float32))
        flatten = self._constant(np.array([-1, width], np.int64))
        for number, layer in enumerate(model.encoder.layer):
            own, after = layer.attention.self, layer.attention.output
            three = [own.query, own.key, own.value]
            weight, bias = (
                np.concatenate([_array(getattr(linear, name)) for linear in three]) for name in ("weight", "bias")
            )
            qkv = self._node("Concat", self._linear(x, weight, bias), nothing, axis=0)
            table = self._node("Gather", qkv, "padded")
            q, k, v = self._nodes_of("Split", 3, table, axis=2, num_outputs=3)
            seen = self._node("MultiHeadAttention", q, k, v, "", "mask", domain=_MICROSOFT, num_heads=heads)
            seen = self._node("Gather", self._node("Reshape", seen, flatten), "flat")
            if number == len(model.encoder.layer) - 1:  # from here on each token stands alone
                seen, x = self._node("Gather", seen, "rows"), self._node("Gather", x, "rows")
            x = self._norm(self._node("Add", self._dense(seen, after.dense), x), after.LayerNorm)
            name, options = _ACTIVATIONS[model.config.hidden_act]
            up = self._node(name, self._dense(x, layer.intermediate.dense), **options)
            x = self._norm(self._node("Add", self._dense(up, layer.output.dense), x), layer.output.LayerNorm)
        self._nodes.append(helper.make_node("Identity", [x], ["states"]))
        table_of = {"padded": ["texts", "longest"], "mask": ["texts", "longest"], "rows": ["rows"]}
        inputs = [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "mask" else TensorProto.INT64, table_of.get(name, ["tokens"])
            )
            for name in INPUTS
        ]
        output = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["rows", width])
        return helper.make_model(
            helper.make_graph(self._nodes, "bert", inputs, [output], self._constants),
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
            ir_version=_IR,
        )

    def _embedded(self) -> str:
        table = self._model.embeddings
        parts = [
            self._node("Gather", self._constant(_array(part.weight)), name)
            for part, name in (
                (table.word_embeddings, "ids"),
                (table.token_type_embeddings, "types"),
                (table.position_embeddings, "places"),
            )
        ]
        both = self._node("Add", self._node("Add", parts[0], parts[1]), parts[2])
        return self._norm(both, table.LayerNorm)

    def _norm(self, x: str, norm: Any) -> str:
        weight, bias = self._constant(_array(norm.weight)), self._constant(_array(norm.bias))
        return self._node("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)

    def _dense(self, x: str, dense: Any) -> str:
        return self._linear(x, _array(dense.weight), _array(dense.bias))

    def _linear(self, x: str, weight: Floats, bias: Floats) -> str:
        """Nodes of ``x @ weight.T + bias``."""
        if self._precision == "float32":
            return self._node("Add", self._node("MatMul", x, self._constant(weight.T)), self._constant(bias))
        scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / self._most
        whole = np.round(weight / scale[:, None]).astype(np.int8).T
        given = [self._constant(values) for values in (whole, scale.astype(np.float32))]
        return self._node("DynamicQuantizeMatMul", x, *given, "", self._constant(bias), domain=_MICROSOFT)

    def _constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, *inputs: str, domain: str = "", **options: Any) -> str:
        return self._nodes_of(kind, 1, *inputs, domain=domain, **options)[0]

    def _nodes_of(self, kind: str, outputs: int, *inputs: str, domain: str = "", **options: Any) -> list[str]:
        from onnx import helper

        names = [f"{kind}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **options))
        return names


def _array(tensor: Any) -> Floats:
    values: Floats = tensor.detach().float().cpu().numpy()
    return values
