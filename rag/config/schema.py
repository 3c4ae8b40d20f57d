"""JSON Schema of pipeline files, for completion, hover texts and validation in editors."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticOmit

from rag.component import Component, Parameter
from rag.errors import ConfigError, did_you_mean
from rag.registry import component_class, kinds, types_of

logger = logging.getLogger("rag.config")

__all__ = ["component_schema", "json_schema", "type_name", "yaml_text"]


_INHERITED: dict[str, Any] = {
    "extends": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Other files, relative to this one, whose values apply where this one has none; later files "
        "win.",
    },
    "unset": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Inherited values, by dotted names, to remove, so that the defaults apply.",
    },
}
"""Properties that any component's mapping may have besides its arguments."""


def json_schema(kind: str = "pipeline") -> dict[str, Any]:
    """Schema (draft 7, the newest supported by YAML language servers) of a file with a component of this kind.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in kinds():
        raise ConfigError(f"unknown kind '{kind}'{did_you_mean(kind, kinds())}")
    definitions = _definitions()
    named = f"{kind}.{kind}"
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"rag {kind}",
        "$ref": f"#/definitions/{named if named in definitions else kind}",
        "definitions": definitions,
    }
    reference = f"#/definitions/{OPEN}"
    if reference in json.dumps(definitions.get(named)):
        definitions |= {
            f"{OPEN}{name}": _opened(definition) for name, definition in definitions.items() if name != named
        }
        return schema
    text = json.dumps(schema)  # this file has no open values, so omit their definitions
    return dict(json.loads(text.replace(reference, "#/definitions/")))


def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    for kind in kinds():
        usable = []
        for name in types_of(kind):
            try:
                cls = component_class(kind, name)
                schema = component_schema(cls)
            except ConfigError as error:  # a plugin must not break the schema
                logger.warning("left out of the schema: %s", error)
                continue
            if schema is not None:
                required = schema.pop("required")
                schema["properties"] |= _INHERITED
                schema["patternProperties"] = {"^x-": {"description": "For anchors; ignored."}}
                schema["anyOf"] = [{"required": required}, {"required": ["extends"]}]
                cls._refine_schema(schema)
                definitions[f"{kind}.{name}"] = schema
                usable.append(name)
        definitions[kind] = {"anyOf": [{"$ref": f"#/definitions/{kind}.{name}"} for name in usable]}
    return definitions


OPEN = "open."
"""Prefix of definitions in which any value may be open (``{tune: int, low: 1, high: 9}``) or missing."""


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    """A definition in which any value may be open and none is required, since it may be inherited."""
    if "properties" not in schema:
        return dict(_opened_references(schema))
    properties = {}
    for name, value in schema["properties"].items():
        documented = {key: value[key] for key in ("description", "default") if key in value}
        inner = {key: item for key, item in _opened_references(value).items() if key not in documented}
        is_value = name not in ("type", *_INHERITED)
        properties[name] = {"anyOf": [inner, _DISTRIBUTION]} | documented if is_value else value
    return {key: item for key, item in schema.items() if key != "anyOf"} | {"properties": properties}


_DISTRIBUTION = {"type": "object", "required": ["tune"], "properties": {"tune": {"type": "string"}}}
"""Schema of a distribution in a sweep; ``rag check`` validates its arguments."""


def _opened_references(schema: Any) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            own = {"$ref": f"#/definitions/{OPEN}{name}"}
            return own if "." in name else {"anyOf": [own, _DISTRIBUTION]}
        opened = {key: _opened_references(value) for key, value in schema.items()}
        for key in ("items", "additionalProperties"):  # elements of lists and mappings
            if isinstance(opened.get(key), dict):
                opened[key] = {"anyOf": [opened[key], _DISTRIBUTION]}
        return opened
    return [_opened_references(item) for item in schema] if isinstance(schema, list) else schema


def component_schema(cls: Any) -> dict[str, Any] | None:
    """Schema of one component's mapping; None when it takes a Python object and thus cannot be in a file."""
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
        schema = {"allOf": [schema]}  # draft 7 ignores siblings of a $ref
    elif schema.get("type") in ("integer", "number", "boolean"):
        schema = {"anyOf": [schema, _VARIABLE]}
    if parameter.help:
        schema["description"] = parameter.help
    if not parameter.required:
        schema["default"] = _json_default(parameter.default)
    return schema


_VARIABLE = {"type": "string", "pattern": r"^\$\{"}
"""Schema of a value from the environment, such as ``${TOP_K:-50}``."""


def _referenced(schema: Any) -> Any:
    """Replace slots for components by references to the definition of their kind."""
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
    """Format a default as in a pipeline file."""
    if isinstance(value, Component):
        config = value.spec.to_config()
        defaults = {name: _json_default(parameter.default) for name, parameter in value.spec.parameters.items()}
        shown = {name: item for name, item in config.items() if name == "type" or item != defaults[name]}
        return "{" + ", ".join(f"{name}: {yaml_text(item)}" for name, item in shown.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def type_name(parameter: Parameter) -> str:
    """A parameter's type with its bounds in short, such as ``int >= 1 or null``."""
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
        return " or ".join(_schema_name(option) for option in schema["anyOf"])
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
