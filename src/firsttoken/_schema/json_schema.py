"""Types to JSON schemas, and to the `response_format` that requests one.

OpenAI's rules for them are in `strict`.
"""

import re
import sys
from typing import Any, cast

import msgspec

from firsttoken._json import as_array, as_object
from firsttoken._schema.parsing import check_readable, involves_pydantic, is_pydantic_model, is_pydantic_type, name_of
from firsttoken._schema.strict import strict_schema
from firsttoken.errors import ConfigurationError

_DEFS = "#/$defs/"


def json_schema_format(
    type_: object, *, name: str | None = None, description: str | None = None, strict: bool = True
) -> dict[str, object]:
    """Make a `response_format` that requests an answer of a type.

    `chat_completion_request(…, response_format=SomeType)` does the same with the defaults, and lets
    `completion.parse()` know the type; with this, name it again: `completion.parse(SomeType)`.

    Args:
        type_: a msgspec Struct, a dataclass, a TypedDict or a pydantic model. The model writes the fields in their
            order, those of a TypedDict sorted by name.
        name: of the schema, which the model may see; None takes the type's.
        description: what the answer is for; None leaves it to the docstring of the type, which is in the schema.
        strict: make the server keep to the schema, in OpenAI's subset of JSON Schema: every field is required, and
            constraints that the subset does not have are left to `parse`. False sends the schema as it is.

    Raises:
        ConfigurationError: the type's JSON is not an object, or it has no such schema.
    """
    shown = name_of(type_)
    schema = object_schema(type_)
    if strict:
        schema = strict_schema(schema, shown)
    definition: dict[str, object] = {"name": name or re.sub(r"[^a-zA-Z0-9_-]", "_", shown)[:64]}
    if description is not None:
        definition["description"] = description
    return {"type": "json_schema", "json_schema": definition | {"strict": strict, "schema": schema}}


def object_schema(type_: object) -> dict[str, object]:
    """The JSON schema of a type whose JSON is an object; it begins with the object's own keywords, not with a `$ref`.

    Raises:
        ConfigurationError: the type has no schema, or its JSON is not always an object.
    """
    schema = _inline_root_ref(_schema(type_))
    if schema.get("type") != "object":
        raise ConfigurationError(
            f"an answer must be a JSON object, not {name_of(type_)}",
            hint="put it into a field of a msgspec.Struct, a dataclass or a TypedDict",
        )
    return schema


def _schema(type_: object) -> dict[str, object]:
    try:
        if involves_pydantic(type_):
            return pydantic_schema(type_)
        if "pydantic" in sys.modules:
            check_readable(type_)
        return schema_of(type_)
    except (TypeError, NameError, RuntimeError) as error:  # also recursion, and pydantic's own errors
        raise ConfigurationError(
            f"{name_of(type_)} has no JSON schema: {str(error).partition(chr(10))[0]}",
            hint="it must be a msgspec.Struct, a dataclass, a TypedDict or a pydantic model, and so must its fields",
        ) from error


def schema_of(type_: object) -> dict[str, object]:
    """The JSON schema of one of msgspec's types.

    Raises:
        TypeError: it is none, or holds one that is none.
    """
    schema: dict[str, object] = msgspec.json.schema(type_, schema_hook=_schema_hook)
    found: dict[str, object] = {}
    _take_definitions(schema, found)
    return schema | {"$defs": found} if found else schema


def pydantic_schema(type_: object) -> dict[str, object]:
    """The JSON schema of one of pydantic's types."""
    import pydantic

    if is_pydantic_model(type_):
        return type_.model_json_schema()
    adapter: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(cast("Any", type_))
    return adapter.json_schema()


def _take_definitions(node: object, found: dict[str, object]) -> None:
    """Move the definitions of a schema, wherever they stand, to one place: references to them begin at the root."""
    fields = as_object(node)
    definitions = {} if fields is None else as_object(fields.pop("$defs", None)) or {}
    found |= definitions
    inner = (as_array(node) or []) if fields is None else list(fields.values())
    for item in [*definitions.values(), *inner]:
        _take_definitions(item, found)


def _schema_hook(type_: type) -> dict[str, object]:
    if type_ is object:
        return {"type": ["object", "array", "string", "number", "boolean", "null"]}  # msgspec takes {} for no answer
    if is_pydantic_type(type_):
        return pydantic_schema(type_)
    raise TypeError(f"{name_of(type_)} is not supported by msgspec")


def _inline_root_ref(schema: dict[str, object]) -> dict[str, object]:
    """The schema with what its root refers to in place of the reference."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    definitions = dict(as_object(schema.get("$defs")) or {})
    name = reference.removeprefix(_DEFS)
    root = dict(as_object(definitions[name]) or {})
    if reference not in _references([root, definitions]):
        del definitions[name]
    return root | {"$defs": definitions} if definitions else root


def _references(node: object) -> set[str]:
    """The `$ref`s in a schema, or in a list of schemas."""
    fields = as_object(node)
    if fields is None:
        return {found for item in as_array(node) or () for found in _references(item)}
    own = fields.get("$ref")
    return {own} if isinstance(own, str) else _references(list(fields.values()))
