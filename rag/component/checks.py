"""Checks of a whole tree before anything runs."""

from __future__ import annotations

from rag.component.base import Component
from rag.errors import ConfigError, Mistakes

__all__ = ["check_parts", "wrong_parts"]


def wrong_parts(component: Component) -> Mistakes:
    """Collect mistakes that the components of a tree find in their arguments (``Component._preflight``), with paths."""
    mistakes = Mistakes()
    for path, part in component.spec.walk():
        try:
            part._preflight()
        except ConfigError as error:
            at = ".".join(step for step in (path, error.parameter) if step)
            for mistake in error.mistakes:
                mistakes.add(mistake.message, at)
    return mistakes


def check_parts(component: Component) -> None:
    """Raise the mistakes found by :func:`wrong_parts`.

    Raises:
        ConfigError: All mistakes.
    """
    mistakes = wrong_parts(component)
    mistakes.check()
