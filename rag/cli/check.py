"""``rag check``: validates a file, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.console import echo, print_file
from rag.cli.options import ConfigArgument, SetOption
from rag.errors import ConfigError, Mistake, Mistakes

if TYPE_CHECKING:
    from rag.component import Component

__all__ = ["check"]


def check(
    config: ConfigArgument,
    resolved: Annotated[bool, typer.Option("--resolved", help="Print the file with every default filled in.")] = False,
    overrides: SetOption = None,
) -> None:
    """Validate a file without running it: every mistake at once, each with its place.

    A pipeline, a sweep, a dataset file, a judge, a writer, or any other component that files hold.
    """
    from rag.pipeline import Pipeline

    other = _checker_of(config, overrides or ())
    if other is not None:
        print_file(other(config, overrides=overrides or (), resolved=resolved))
        return
    pipeline = Pipeline.from_yaml(config, overrides=overrides or ())
    if resolved:
        print_file(pipeline.to_yaml())
    else:
        parts = sum(1 for _ in pipeline.spec.walk())
        echo(f"{config}: ok ({parts} components, fingerprint {pipeline.fingerprint})")


def _checker_of(config: Path, overrides: Sequence[str]) -> Callable[..., str] | None:
    """What checks files that are no pipelines, by their ``type``: entry points of group ``rag.files``."""
    from rag.config import read_source
    from rag.registry import component_class, kinds, types_of

    mistakes = Mistakes()
    node = read_source(config, overrides=overrides, mistakes=mistakes)
    entries = entry_points(group="rag.files")
    if node is not None and isinstance(node.value, dict) and "type" not in node.value and not mistakes:
        valid = ", ".join(sorted({"pipeline", *entries.names}))
        raise ConfigError([Mistake(f"missing 'type' (valid: {valid})", location=node.location)])
    for entry in entries:
        if node is not None and entry.name == node.type:
            checker: Callable[..., str] = entry.load()
            return checker
    if node is not None and node.type is not None and node.type not in types_of("pipeline"):
        classes = [component_class(kind, node.type) for kind in kinds() if node.type in types_of(kind)]
        if classes:
            return partial(_check_part, classes=classes)
    return None


def _check_part(config: Path, *, classes: Sequence[type[Component]], overrides: Sequence[str], resolved: bool) -> str:
    """Check a file that holds a component, such as a writer: the first of several of that type whose arguments fit."""
    from rag.config import dump, load_component

    errors = []
    for cls in classes:
        try:
            part = load_component(config, cls, overrides=overrides)
        except ConfigError as error:
            errors.append(error)
            continue
        return (
            dump(part.spec.to_config())
            if resolved
            else f"{config}: ok (a {cls.kind}, fingerprint {part.fingerprint})\n"
        )
    raise errors[0]
