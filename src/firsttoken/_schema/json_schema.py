"""Types to JSON schemas, and to the `response_format` that requests one.

`strict_schema` makes the subset of a schema that OpenAI keeps to. Sources: its guide to structured outputs, "Supported
schemas": the root is an object; every object names all its properties, requires each and allows no other; `anyOf`,
`$defs` and recursion are fine, `allOf`, `default` and most constraints of length are not. What its server checks
besides: a `$ref` stands alone, and every schema has a type.
"""

import re
import sys
from typing import Any, cast

import msgspec

from firsttoken._json import as_array, as_object
from firsttoken._schema.parsing import check_readable, involves_pydantic, is_pydantic_model, is_pydantic_type, name_of
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


JSONObject = dict[str, object]

_KEPT = frozenset(
    {
        *("type", "description", "title", "enum", "const", "properties", "items", "anyOf", "$ref"),
        *("pattern", "format", "minItems", "maxItems"),
        *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)
"""The keywords that stay. Another one that only narrows what is allowed is dropped: `parse` checks it all the same."""

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})

UNSUPPORTED_KEYWORDS = {
    "allOf": "more than one schema at a time",
    "prefixItems": "a tuple whose items differ",
    "patternProperties": "an object whose fields are not named",
    "propertyNames": "an object whose fields are not named",
    "not": "what something is not",
    "if": "a condition",
}
"""Keywords without which the schema would mean something else."""

_LOOK_AROUND = re.compile(r"\(\?<?[=!]")

_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def type_name(value: object) -> str:
    """The JSON type of a value in an enum."""
    return next(name for kind, name in _TYPES.items() if isinstance(value, kind))  # bool stands before int


def strict_schema(schema: JSONObject, name: str) -> JSONObject:
    """The schema as strict mode wants it; the one given is not changed.

    Args:
        schema: of an object.
        name: what it is the schema of, for messages.

    Raises:
        ConfigurationError: it has something that strict mode can't express.
    """
    return _Strict(name, as_object(schema.get("$defs")) or {}).root(schema)


class _Strict:
    def __init__(self, name: str, definitions: JSONObject) -> None:
        self._name = name
        self._definitions = definitions

    def root(self, schema: JSONObject) -> JSONObject:
        made = self._node(schema, "$", ())
        if self._definitions:
            made["$defs"] = {name: self._node(node, name, ()) for name, node in self._definitions.items()}
        return made

    def _node(self, value: object, path: str, expanding: tuple[str, ...]) -> JSONObject:
        """One schema; `expanding` are the definitions that are being put in place of references to them."""
        node = as_object(value)
        if not node:
            raise self._unsupported(path, "anything")
        alternatives = as_array(node.get("anyOf")) or as_array(node.get("oneOf"))
        parts = as_array(node.get("allOf"))
        if "$ref" in node:
            return self._reference(node, path, expanding)
        if parts is not None and len(parts) == 1:
            outer = {name: item for name, item in node.items() if name != "allOf"}
            return self._node((as_object(parts[0]) or {}) | outer, path, expanding)
        for keyword in UNSUPPORTED_KEYWORDS.keys() & node.keys():
            raise self._unsupported(path, UNSUPPORTED_KEYWORDS[keyword])
        made = {name: item for name, item in node.items() if name in _KEPT}
        if alternatives is not None:
            made["anyOf"] = [self._node(item, path, expanding) for item in alternatives]
        elif "enum" in node and "type" not in node:
            return _typed_enum(made)
        elif "const" in node and "type" not in node:
            made["type"] = _TYPES[type(node["const"])]
        elif "type" not in node or {"object", "array"} & set(as_array(node["type"]) or ()):
            raise self._unsupported(path, "anything")
        if node.get("type") == "object":
            self._write_properties(made, node, path, expanding)
        if node.get("type") == "array":
            made["items"] = self._node(node.get("items"), f"{path}[…]", expanding)
        if node.get("format", "uuid") not in _FORMATS:
            del made["format"]
        if _LOOK_AROUND.search(str(node.get("pattern", ""))):
            del made["pattern"]  # OpenAI refuses it; it is checked all the same
        return made

    def _write_properties(self, made: JSONObject, node: JSONObject, path: str, expanding: tuple[str, ...]) -> None:
        properties = as_object(node.get("properties"))
        if properties is None or node.get("additionalProperties", False) is not False:
            raise self._unsupported(path, "an object whose fields are not named")
        made["properties"] = {name: self._node(item, f"{path}.{name}", expanding) for name, item in properties.items()}
        if properties:
            made["required"] = list(properties)
        made["additionalProperties"] = False

    def _reference(self, node: JSONObject, path: str, expanding: tuple[str, ...]) -> JSONObject:
        """A `$ref`, which must stand alone: with a description beside it, what it refers to takes its place."""
        reference = node["$ref"]
        name = str(reference).rpartition("/")[2]
        beside = {keyword: node[keyword] for keyword in ("description", "title") if keyword in node}
        if not beside or name in expanding:
            return {"$ref": reference}
        definition = as_object(self._definitions[name]) or {}
        if has_reference(definition):  # or models in models in models would be written out again and again
            alone: JSONObject = {"anyOf": [{"$ref": reference}]}
            return alone | beside
        return self._node(definition | beside, path, (*expanding, name))

    def _unsupported(self, path: str, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._name} has no strict JSON schema: at `{path}` it allows {what}",
            hint="declare it more narrowly, or make the schema yourself with strict=False "
            "(firsttoken.types.json_schema_format, function_tool)",
        )


def has_reference(node: object) -> bool:
    """Whether a schema refers to another one."""
    fields = as_object(node)
    inner = (as_array(node) or []) if fields is None else list(fields.values())
    return (fields is not None and "$ref" in fields) or any(map(has_reference, inner))


def _typed_enum(made: JSONObject) -> JSONObject:
    """An enum with the type of its values, as alternatives where they are of several."""
    by_type: dict[str, list[object]] = {}
    for value in as_array(made["enum"]) or ():
        by_type.setdefault(_TYPES[type(value)], []).append(value)
    enums: list[JSONObject] = [{"type": kind, "enum": values} for kind, values in by_type.items()]
    words = {name: item for name, item in made.items() if name != "enum"}
    return words | (enums[0] if len(enums) == 1 else {"anyOf": enums})
