"""Marks for parameters worth tuning: the values worth trying, among those allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Tunable"]


@dataclass(frozen=True)
class Tunable:
    """Marks a parameter worth tuning, beside ``Field``: ``Annotated[float, Field(ge=0), Tunable(choices=(0.5, 1.0))]``.

    ``rag tune --auto`` builds its search space from these marks. ``Field`` states what is allowed; the mark states what
    is worth the time.

    Args:
        low: The least number worth trying.
        high: The greatest number worth trying.
        step: Distance between neighboring numbers, counted from ``low``.
        choices: Values instead of a range; for a parameter that holds a component, names of alternatives, each taken
            with its default arguments.
        times: Factors of the current value, for a unit given by another argument.
        gain: Usual gain in nDCG@10 by tuning it; with the measured cost it decides the order of trials.
    """

    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    times: tuple[float, ...] = ()
    gain: float = 0.003

    def __post_init__(self) -> None:
        numbers = [bound for bound in (self.low, self.high, self.step) if bound is not None]
        if len(numbers) not in (0, 3) or (bool(numbers) + bool(self.choices) + bool(self.times)) != 1:
            raise TypeError("Tunable takes low, high and step, or choices, or times")

    def values(self, present: Any) -> tuple[Any, ...]:
        """All values worth trying, in order, for an argument with the value ``present``."""
        if self.choices:
            return self.choices
        if self.times:
            return tuple(type(present)(present * factor) for factor in self.times)
        assert self.low is not None
        assert self.high is not None
        assert self.step is not None
        n = round((self.high - self.low) / self.step) + 1
        levels = [round(self.low + k * self.step, 12) for k in range(n)]
        whole = all(isinstance(bound, int) for bound in (self.low, self.high, self.step))
        return tuple(int(level) for level in levels) if whole else tuple(float(level) for level in levels)
