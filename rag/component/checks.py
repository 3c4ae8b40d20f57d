"""Checks of a whole tree before anything runs."""

from __future__ import annotations

from rag.component.base import Component
from rag.errors import ConfigError, Mistake

__all__ = ["check_parts", "wrong_parts"]


def wrong_parts(component: Component) -> list[Mistake]:
    """Mistakes that the components of a tree find in their arguments (``Component._preflight``), with paths."""
    mistakes = []
    for path, part in component.spec.walk():
        try:
            part._preflight()
        except ConfigError as error:
            at = ".".join(step for step in (path, error.parameter) if step)
            mistakes += [Mistake(mistake.message, at) for mistake in error.mistakes]
    return mistakes


def check_parts(component: Component) -> None:
    """Raise what :func:`wrong_parts` finds.

    Raises:
        ConfigError: Every mistake.
    """
    mistakes = wrong_parts(component)
    if mistakes:
        raise ConfigError(mistakes)
