"""Distributions, which replace values in a sweep: ``{tune: int, low: 8, high: 256, log: true}``.

Distributions are components of kind ``distribution``, so their arguments are checked and documented like all others;
in a sweep their type is under ``tune``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from rag.component import Component
from rag.errors import ConfigError
from rag.hpo.optuna_private import contains

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

__all__ = ["Categorical", "Choice", "Distribution", "FloatRange", "IntRange", "MaybePresent", "Scalar", "unit"]

Scalar = str | int | float | bool | None
"""Types of a tuned value; for mappings and lists use :class:`Choice`."""

_MOST = 100_000
"""Maximum number of values to list; a distribution with more counts as continuous."""


class Distribution(Component):
    """Values that a tuned parameter may take."""

    kind: ClassVar[str] = "distribution"
    name: str | None
    default: Any

    @abstractmethod
    def optuna(self) -> BaseDistribution:
        """The Optuna distribution of the same values."""

    @abstractmethod
    def values(self, most: int | None = None) -> list[Any] | None:
        """All values in order, or at most ``most`` evenly spread ones. None when they cannot be listed."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Draw a random value."""

    def suggest(self, trial: Trial, name: str) -> Any:
        """Let a trial's sampler suggest a value."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        distribution = self.optuna()
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        if isinstance(distribution, FloatDistribution):
            return self.written(
                trial.suggest_float(
                    name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
                )
            )
        assert isinstance(distribution, CategoricalDistribution)
        return trial.suggest_categorical(name, distribution.choices)

    def written(self, value: Any) -> Any:
        """A value without rounding noise: .3 instead of .30000000000000004."""
        return value

    def contains(self, value: Any) -> bool:
        """Whether it contains a value."""
        return contains(self.optuna(), value)

    def edges(self) -> list[Any]:
        """Values to validate, such as the ends of a range: if they are valid arguments, all values are."""
        return self.values() or []


class _Range(Distribution):
    low: Any
    high: Any
    step: Any
    log: bool

    def _check(self) -> None:
        if self.low > self.high:
            raise ConfigError(f"low ({self.low}) is above high ({self.high})", parameter="low")
        if self.log and self.low <= 0:
            raise ConfigError(f"on a logarithmic scale low must be above 0, got {self.low}", parameter="low")
        if self.default is not None and not self.low <= self.default <= self.high:
            raise ConfigError(f"must lie between low and high, got {self.default}", parameter="default")

    def _spread(self, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.geomspace(self.low, self.high, n) if self.log else np.linspace(self.low, self.high, n)

    def edges(self) -> list[Any]:
        return [self.low, self.high]


class IntRange(_Range):
    """A whole number in a range, both ends included.

    Args:
        low: The least value.
        high: The greatest value.
        step: Distance between neighboring values, counted from ``low``.
        log: Whether to draw on a logarithmic scale: as many values between 8 and 16 as between 16 and 32. Excludes
            ``step``.
        default: The value of the baseline; by default the component's own default if it lies in the range, else the
            middle.
        name: The name in constraints and tables; by default the path in the pipeline. Distributions with the same name
            are one parameter, as are copies by a YAML alias.
    """

    type = "int"

    def __init__(
        self,
        *,
        low: int,
        high: int,
        step: Annotated[int, Field(ge=1)] = 1,
        log: bool = False,
        default: int | None = None,
        name: Annotated[str, Field(min_length=1)] | None = None,
    ) -> None:
        self.low, self.high, self.step, self.log, self.default, self.name = low, high, step, log, default, name
        self._check()
        if log and step != 1:
            raise ConfigError("a logarithmic scale has no step: leave one of them out", parameter="step")
        if default is not None and (default - low) % step:
            raise ConfigError(f"must be low plus a multiple of step, got {default}", parameter="default")

    def optuna(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        high = self.low + (self.high - self.low) // self.step * self.step
        return IntDistribution(self.low, high, log=self.log, step=self.step)

    def values(self, most: int | None = None) -> list[Any] | None:
        n = (self.high - self.low) // self.step + 1
        if n > (most or _MOST):
            if most is None:
                return None
            steps = np.unique(np.round((self._spread(most) - self.low) / self.step).astype(int))
            return [int(self.low + k * self.step) for k in steps if k < n]
        return list(range(self.low, self.high + 1, self.step))

    def draw(self, rng: np.random.Generator) -> Any:
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(drawn), self.low), self.high)
        return int(self.low + self.step * rng.integers((self.high - self.low) // self.step + 1))


class FloatRange(_Range):
    """A number in a range, both ends included.

    Args:
        low: The least value.
        high: The greatest value.
        step: Distance between neighboring values, counted from ``low``; None for a continuous range.
        log: Whether to draw on a logarithmic scale. Excludes ``step``.
        default: The value of the baseline; by default the component's own default if it lies in the range, else the
            middle.
        name: The name in constraints and tables; by default the path in the pipeline. Distributions with the same name
            are one parameter, as are copies by a YAML alias.
    """

    type = "float"

    def __init__(
        self,
        *,
        low: float,
        high: float,
        step: Annotated[float, Field(gt=0)] | None = None,
        log: bool = False,
        default: float | None = None,
        name: Annotated[str, Field(min_length=1)] | None = None,
    ) -> None:
        self.low, self.high, self.step, self.log, self.default, self.name = low, high, step, log, default, name
        self._check()
        if log and step is not None:
            raise ConfigError("a logarithmic scale has no step: leave one of them out", parameter="step")

    def optuna(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        high = self.high if self.step is None else self._grid()[-1]
        return FloatDistribution(self.low, high, log=self.log, step=self.step)

    def written(self, value: Any) -> Any:
        return value if self.step is None else round(value, 12)

    def _grid(self) -> list[float]:
        assert self.step is not None
        n = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [self.written(self.low + k * self.step) for k in range(min(n, _MOST))]

    def values(self, most: int | None = None) -> list[Any] | None:
        if self.low == self.high:
            return [self.low]
        if self.step is not None:
            grid = self._grid()
            if most is None or len(grid) <= most:
                return list(grid)
            return [grid[k] for k in np.unique(np.linspace(0, len(grid) - 1, most).round().astype(int))]
        return None if most is None else [float(value) for value in self._spread(most)]

    def draw(self, rng: np.random.Generator) -> Any:
        if self.step is not None:
            return self._grid()[int(rng.integers(len(self._grid())))]
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return float(min(max(drawn, self.low), self.high))
        return float(rng.uniform(self.low, self.high))


class Categorical(Distribution):
    """One of several values without order.

    Args:
        choices: Texts, numbers, true, false or null.
        default: The value of the baseline; by default the first.
        name: The name in constraints and tables; by default the path in the pipeline. Distributions with the same name
            are one parameter, as are copies by a YAML alias.
    """

    type = "categorical"

    def __init__(
        self,
        *,
        choices: Annotated[list[Scalar], Field(min_length=1)],
        default: Scalar = None,
        name: Annotated[str, Field(min_length=1)] | None = None,
    ) -> None:
        self.choices, self.default, self.name = choices, default, name
        self._check()

    def _check(self) -> None:
        shown = [f"{type(option).__name__} {option!r}" for option in self.choices]
        twice = [label for index, label in enumerate(shown) if label in shown[:index]]
        if twice:
            raise ConfigError(f"{twice[0].partition(' ')[2]} is given twice", parameter="choices")
        if self.default is not None and not any(
            self.default is option or self.default == option for option in self.choices
        ):
            raise ConfigError(f"must be one of the choices, got {self.default!r}", parameter="default")

    def optuna(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    def values(self, most: int | None = None) -> list[Any] | None:
        return list(self.choices)

    def contains(self, value: Any) -> bool:
        return any(type(value) is type(option) and value == option for option in self.choices)

    def draw(self, rng: np.random.Generator) -> Any:
        return self.choices[int(rng.integers(len(self.choices)))]


class Choice(Distribution):
    """One of several subtrees, optionally with distributions inside, which exist only where the subtree is chosen.

    Args:
        options: Components, lists or values. The label of each is its ``type``, or its index in the list.
        labels: Other labels, one per option, all different.
        default: Label of the baseline's option; by default the first.
        name: The name in constraints and tables; by default the path in the pipeline.
    """

    type = "choice"

    def __init__(
        self,
        *,
        options: Annotated[list[Any], Field(min_length=1)],
        labels: list[str] | None = None,
        default: str | None = None,
        name: Annotated[str, Field(min_length=1)] | None = None,
    ) -> None:
        self.options, self.default, self.name = options, default, name
        if labels is not None and (len(labels) != len(options) or len(set(labels)) < len(labels)):
            message = f"one for each of the {len(options)} options is needed, all different, got {', '.join(labels)}"
            raise ConfigError(message, parameter="labels")
        self.labels = labels
        self.names = labels or self._types()
        if default is not None and default not in self.names:
            message = f"must be one of the options ({', '.join(self.names)}), got '{default}'"
            raise ConfigError(message, parameter="default")

    def _types(self) -> list[str]:
        """Distinct names of the options."""
        labels: list[str] = []
        for index, option in enumerate(self.options):
            type = option.get("type") if isinstance(option, dict) else option
            label = str(type) if isinstance(type, (str, int, float, bool)) else str(index)
            same = sum(other == label or other.startswith(f"{label}-") for other in labels)
            labels.append(f"{label}-{same + 1}" if same else label)
        return labels

    def optuna(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.names)

    def values(self, most: int | None = None) -> list[Any] | None:
        return list(self.names)

    def draw(self, rng: np.random.Generator) -> Any:
        return self.names[int(rng.integers(len(self.names)))]


class MaybePresent(Distribution):
    """A value that may be absent: a stage of the list, or an argument that falls back to its default.

    Args:
        of: The value when present, optionally with distributions inside.
        default: Whether it is present in the baseline.
        name: The name in constraints and tables; by default the path in the pipeline.
    """

    type = "optional"

    def __init__(
        self, *, of: Any, default: bool = False, name: Annotated[str, Field(min_length=1)] | None = None
    ) -> None:
        self.of, self.default, self.name = of, default, name

    def optuna(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([False, True])

    def values(self, most: int | None = None) -> list[Any] | None:
        return [False, True]

    def draw(self, rng: np.random.Generator) -> Any:
        return bool(rng.integers(2))


def unit(distribution: Distribution, value: Any) -> float | None:
    """Position of a number between the ends of its range, in [0, 1]; None for distributions without an order."""
    if not isinstance(distribution, (IntRange, FloatRange)):
        return None
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        return 0.5
    if distribution.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (float(value) - low) / (high - low)
