"""Write mappings as YAML text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from rag.config.environment import escaped
from rag.config.words import WORDS

__all__ = ["dump"]

_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")


def dump(config: Mapping[str, Any], *, aliases: bool = False) -> str:
    """Write a mapping as YAML in block style, keeping the order of keys.

    Args:
        config: The mapping.
        aliases: Write repeated mappings or lists once, with an anchor.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        def represent_str(self, data: Any) -> Any:
            # Line breaks of old YAML must be escaped in double quotes; elsewhere they are read as spaces.
            # Words that need quotes to stay texts are quoted.
            style = '"' if _BREAKS.search(data) or data.lower() in WORDS else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Representer.add_representer(str, Representer.represent_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(_escaped(config, {} if aliases else None), stream)
    return stream.getvalue()


def _escaped(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Escape texts that would be read as variables; ``seen`` preserves the identity of repeated objects."""
    if isinstance(value, str):
        return escaped(value)
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    if seen is not None and id(value) in seen:
        return seen[id(value)]
    made: Any
    if isinstance(value, Mapping):
        made = {name: _escaped(item, seen) for name, item in value.items()}
    else:
        made = [_escaped(item, seen) for item in value]
    if seen is not None and made:
        seen[id(value)] = made
    return made
