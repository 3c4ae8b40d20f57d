"""What a parameter says about being tuned: the values worth trying, beside those that are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Tunable"]


@dataclass(frozen=True)
class Tunable:
    """Marks a parameter worth tuning, beside ``Field``: ``Annotated[float, Field(ge=0), Tunable(choices=(0.5, 1.0))]``.

    ``rag tune --auto`` makes its search space of these marks. ``Field`` says what is allowed; the mark says what is
    worth the time.

    Args:
        low: The least number worth trying.
        high: The greatest.
        step: Distance of neighboring numbers, counted from ``low``.
        choices: Values instead of a range; of a parameter that holds a component, names of its alternatives, each taken
            with its default arguments.
        times: Numbers that the present value is multiplied by, where its unit is another argument.
        gain: What tuning it usually adds to nDCG@10: decides with the measured cost what is tried first.
    """

    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    times: tuple[float, ...] = ()
    gain: float = 0.003

    def __post_init__(self) -> None:
        numbers = [one for one in (self.low, self.high, self.step) if one is not None]
        if len(numbers) not in (0, 3) or (bool(numbers) + bool(self.choices) + bool(self.times)) != 1:
            raise TypeError("Tunable takes low, high and step, or choices, or times")

    def values(self, present: Any) -> tuple[Any, ...]:
        """Everything worth trying, in order, where an argument is now ``present``."""
        if self.choices:
            return self.choices
        if self.times:
            return tuple(type(present)(present * factor) for factor in self.times)
        assert self.low is not None
        assert self.high is not None
        assert self.step is not None
        n = round((self.high - self.low) / self.step) + 1
        found = [round(self.low + k * self.step, 12) for k in range(n)]
        whole = all(isinstance(one, int) for one in (self.low, self.high, self.step))
        return tuple(int(one) for one in found) if whole else tuple(float(one) for one in found)
