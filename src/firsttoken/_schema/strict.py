"""JSON Schema to the subset of it that OpenAI keeps to strictly.

Sources: OpenAI's guide to structured outputs, "Supported schemas": the root is an object; every object names all its
properties, requires each and allows no other; `anyOf`, `$defs` and recursion are fine, `allOf`, `default` and most
constraints of length are not. What its server checks besides: a `$ref` stands alone, and every schema has a type.
"""

import re

from firsttoken._json import as_array, as_object
from firsttoken.errors import ConfigurationError

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
