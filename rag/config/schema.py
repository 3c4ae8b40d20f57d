"""JSON Schema of pipeline files, for editors: completion, hover texts and squiggles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import PydanticInvalidForJsonSchema, PydanticOmit

from rag.component import Component, Parameter
from rag.errors import ConfigError
from rag.registry import component_class, kinds, types_of

__all__ = ["component_schema", "json_schema"]


def json_schema(kind: str = "pipeline") -> dict[str, Any]:
    """Schema (draft 7, the newest that YAML language servers read) of a file that holds a component of this kind."""
    definitions: dict[str, Any] = {}
    for one in kinds():
        usable = []
        for name in types_of(one):
            schema = component_schema(component_class(one, name))
            if schema is not None:
                definitions[f"{one}.{name}"] = schema
                usable.append(name)
        definitions[one] = {"anyOf": [{"$ref": f"#/definitions/{one}.{name}"} for name in usable]}
    root = definitions[f"{kind}.{kind}"]
    extends = {"type": "string", "description": "Another file, relative to this one, whose values hold where this one has none."}
    root["properties"] = {"extends": extends} | root["properties"]
    root["anyOf"] = [{"required": root.pop("required")}, {"required": ["extends"]}]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"rag {kind}",
        "$ref": f"#/definitions/{kind}.{kind}",
        "definitions": definitions,
    }


def component_schema(cls: Any) -> dict[str, Any] | None:
    """Schema of one component's mapping; None when it takes a Python object and so cannot stand in a file."""
    properties: dict[str, Any] = {"type": {"const": cls.type, "description": cls.description()}}
    required = ["type"]
    for parameter in cls.parameters().values():
        try:
            properties[parameter.name] = _parameter_schema(parameter)
        except (PydanticInvalidForJsonSchema, PydanticOmit):
            if parameter.required:
                return None
            continue
        if parameter.required:
            required.append(parameter.name)
    return {
        "type": "object",
        "title": f"{cls.kind} {cls.type}",
        "description": cls.description(),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.adapter.json_schema(ref_template="#/definitions/{model}")
    schema.pop("title", None)
    schema = {"allOf": [schema]} if "$ref" in schema else schema  # draft 7 ignores what stands beside a $ref
    if parameter.help:
        schema["description"] = parameter.help
    if not parameter.required:
        schema["default"] = _json_default(parameter.default)
    return schema


def _json_default(default: Any) -> Any:
    if isinstance(default, Component):
        try:
            return default.to_config()
        except ConfigError:
            return None
    if isinstance(default, Iterable) and not isinstance(default, (str, dict)):
        return [_json_default(item) for item in default]
    return default
