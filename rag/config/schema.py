"""JSON Schema of pipeline files, for editors: completion, hover texts and squiggles."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticOmit

from rag.component import Component, Parameter
from rag.errors import ConfigError
from rag.registry import component_class, kinds, types_of

logger = logging.getLogger("rag.config")

__all__ = ["component_schema", "json_schema", "type_name", "yaml_text"]


def json_schema(kind: str = "pipeline") -> dict[str, Any]:
    """Schema (draft 7, the newest that YAML language servers read) of a file that holds a component of this kind."""
    definitions: dict[str, Any] = {}
    for one in kinds():
        usable = []
        for name in types_of(one):
            try:
                schema = component_schema(component_class(one, name))
            except ConfigError as error:  # of somebody else's package: ours must not fail with it
                logger.warning("left out of the schema: %s", error)
                continue
            if schema is not None:
                definitions[f"{one}.{name}"] = schema
                usable.append(name)
        definitions[one] = {"anyOf": [{"$ref": f"#/definitions/{one}.{name}"} for name in usable]}
    root = definitions[f"{kind}.{kind}"]
    extends = {
        "type": "string",
        "description": "Another file, relative to this one, whose values hold where this one has none.",
    }
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
    properties: dict[str, Any] = {"type": {"const": cls.type, "description": cls.spec.doc}}
    required = ["type"]
    for parameter in cls.spec.parameters.values():
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
        "description": cls.spec.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = _referenced(parameter.adapter.json_schema())
    schema.pop("title", None)
    if "$ref" in schema:
        schema = {"allOf": [schema]}  # draft 7 ignores what stands beside a $ref
    elif schema.get("type") in ("integer", "number", "boolean"):
        schema = {"anyOf": [schema, _VARIABLE]}
    if parameter.help:
        schema["description"] = parameter.help
    if not parameter.required:
        schema["default"] = _json_default(parameter.default)
    return schema


_VARIABLE = {"type": "string", "pattern": r"^\$\{"}
"""A value that the environment gives, such as ``${TOP_K:-50}``."""


def _referenced(schema: Any) -> Any:
    """Slots for components as references to the definition of their kind."""
    if isinstance(schema, dict):
        if "x-kind" in schema:
            return {"$ref": f"#/definitions/{schema['x-kind']}"}
        return {name: _referenced(value) for name, value in schema.items()}
    return [_referenced(item) for item in schema] if isinstance(schema, list) else schema


def _json_default(default: Any) -> Any:
    if isinstance(default, Component):
        try:
            return default.spec.to_config()
        except ConfigError:
            return None
    if isinstance(default, Iterable) and not isinstance(default, (str, dict)):
        return [_json_default(item) for item in default]
    return default


def yaml_text(value: Any) -> str:
    """A default as a pipeline file would have it."""
    if isinstance(value, Component):
        given = value.spec.to_config()
        defaults = {name: _json_default(parameter.default) for name, parameter in value.spec.parameters.items()}
        shown = {name: item for name, item in given.items() if name == "type" or item != defaults[name]}
        return "{" + ", ".join(f"{name}: {yaml_text(item)}" for name, item in shown.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def type_name(parameter: Parameter) -> str:
    """A parameter's type with its bounds in a few words, such as ``int >= 1 or null``."""
    if parameter.slot is not None:
        kind = parameter.slot.contract.kind
        name = f"list of {kind}" if parameter.slot.container == "list" else kind
        return f"{name} or null" if parameter.slot.optional else name
    try:
        return _schema_name(parameter.adapter.json_schema())
    except (PydanticInvalidForJsonSchema, PydanticOmit):
        return "Python object"


def _schema_name(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_schema_name(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    name = str(schema.get("type", "anything"))
    if name == "array":
        return f"list of {_schema_name(schema.get('items', {}))}"
    name = {"integer": "int", "number": "float", "string": "text", "object": "mapping", "boolean": "true or false"}.get(
        name, name
    )
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return " ".join([name, *(f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema)])
