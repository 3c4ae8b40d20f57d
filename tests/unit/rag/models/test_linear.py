"""Products with weights, however they are computed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from rag.models.linear import linear


@pytest.mark.parametrize("activation", [None, functional.gelu, functional.silu])
@pytest.mark.parametrize(("precision", "off"), [("float32", 1e-6), ("bfloat16", 0.02), ("int8", 0.03)])
def test_a_product_is_the_same_however_it_is_computed(precision, off, activation, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(*shape, generator=generator) / 4 for shape in ((48, 32), (48,), (5, 32)))
    expected = functional.linear(x, weight, bias)
    if activation is not None:
        expected = activation(expected)
    given = x.bfloat16() if precision == "bfloat16" else x
    for packed in (False, True):
        actual = linear(precision, weight, bias, activation=activation, packed=packed)(given)
        torch.testing.assert_close(actual.float(), expected, atol=off, rtol=off)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    without = linear(precision, weight, bias, activation=activation, packed=True)(given)
    torch.testing.assert_close(without.float(), expected, atol=off, rtol=off)


@pytest.mark.parametrize("problem", [AttributeError("no such operator"), RuntimeError("not for this processor")])
def test_without_the_operator_of_onednn_torch_multiplies(problem, monkeypatch):
    def broken(weight, rows):
        raise problem

    monkeypatch.setattr("torch.ops.mkldnn._reorder_linear_weight", broken)
    product = linear("float32", torch.eye(4), torch.ones(4), packed=True)
    assert product(torch.zeros(1, 4)).tolist() == [[1.0] * 4]
