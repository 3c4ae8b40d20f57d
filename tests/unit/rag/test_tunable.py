"""What a parameter says about being tuned."""

from __future__ import annotations

import pytest

from rag.component import Tunable
from rag.registry import component_class, kinds, types_of


def test_values():
    assert Tunable(low=0.6, high=1.2, step=0.3).values(1.0) == (0.6, 0.9, 1.2)
    assert Tunable(low=10, high=30, step=10).values(10) == (10, 20, 30)
    assert Tunable(choices=("a", "b")).values("a") == ("a", "b")
    assert Tunable(times=(0.5, 1, 2)).values(256) == (128, 256, 512)


@pytest.mark.parametrize("given", [{}, {"low": 1, "high": 2}, {"low": 1, "high": 2, "step": 1, "choices": (1,)}])
def test_marks_that_mean_nothing(given):
    with pytest.raises(TypeError, match="Tunable takes low, high and step, or choices"):
        Tunable(**given)


def test_every_marked_value_is_allowed():
    marked = 0
    for kind in kinds():
        for name in types_of(kind):
            for parameter in component_class(kind, name).spec.parameters.values():
                if parameter.tunable is None or parameter.slot is not None:
                    continue
                values = parameter.tunable.values(parameter.default)
                marked += 1
                assert all(parameter.errors(value) == [] for value in values)
    assert marked > 15
