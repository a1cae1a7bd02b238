"""Where a value breaks a JSON Schema, for the keywords that the schemas of this project use."""

import re
from collections.abc import Iterator
from typing import Any

KINDS = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description"}
CHECKED = {
    "type", "const", "enum", "pattern", "minimum", "required", "properties", "additionalProperties",
    "items", "minItems", "maxItems",
}  # fmt: skip


def violations(value: Any, schema: dict[str, Any]) -> list[str]:
    """List what is wrong, each with its place; an unknown keyword of the schema is an assertion error."""
    return list(_violations(value, schema, schema["$defs"], "$"))


def _violations(value: Any, schema: dict[str, Any], definitions: dict[str, Any], where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    assert not set(schema) - ANNOTATIONS - CHECKED, f"{where}: the checker does not know all of {set(schema)}"
    if not _is_of_kind(value, schema.get("type", [])):
        yield f"{where}: {value!r} is no {schema['type']}"
        return
    yield from _of_scalar(value, schema, where)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where}: {len(value)} items"
        for index, item in enumerate(value):
            yield from _violations(item, schema.get("items", {}), definitions, f"{where}[{index}]")
    if isinstance(value, dict):
        yield from _of_object(value, schema, definitions, where)


def _is_of_kind(value: Any, kinds: str | list[str]) -> bool:
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, bool):
        return not kinds or "boolean" in kinds
    return not kinds or any(isinstance(value, KINDS[kind]) for kind in kinds)


def _of_scalar(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where}: {value!r} does not match {schema['pattern']}"
    if isinstance(value, (int, float)) and value < schema.get("minimum", value):
        yield f"{where}: {value} is too small"


def _of_object(
    value: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any], where: str
) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{where}: {key} is missing" for key in schema.get("required", ()) if key not in value)
    for key, item in value.items():
        if key in properties:
            yield from _violations(item, properties[key], definitions, f"{where}.{key}")
        elif others is False:
            yield f"{where}: {key} is not in the schema"
        elif isinstance(others, dict):
            yield from _violations(item, others, definitions, f"{where}.{key}")
