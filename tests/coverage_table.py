"""Writes docs/reference/coverage.md: every field of the API's schema, and where firsttoken has it.

    just fields

The schema is read from the types that the official client generates from OpenAI's specification; only names are taken.
"""

import sys
import types
import typing
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import openai.types.chat as schema
from openai.types.chat import completion_create_params as params
from pydantic import BaseModel
from typing_extensions import is_typeddict

from firsttoken.types import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "coverage.md"
VERSION = version("openai")

Kind = Literal["typed", "plain", "extra"]


class Row(NamedTuple):
    """A field of the schema.

    Attributes:
        path: from the outermost object; `[]` is each item of a list, `[user]` each of that role or type.
        kind: a field of a type of ours; inside a value that ours keeps as plain JSON; or unknown to ours.
        owner: which type.
        field: of that type, where the value is; "" where the type itself stands for it.
    """

    path: str
    kind: Kind
    owner: str
    field: str

    @property
    def place(self) -> str:
        if self.kind == "typed":
            return f"`{self.owner}.{self.field}`" if self.field else f"`{self.owner}` says it"
        return f"plain, in `{self.owner}.{self.field}`" if self.kind == "plain" else f"`{self.owner}.extra`"


def request_rows() -> list[Row]:
    return list(_rows(params.CompletionCreateParamsStreaming, ChatCompletionRequest, ""))


def completion_rows() -> list[Row]:
    return list(_rows(schema.ChatCompletion, ChatCompletion, ""))


def chunk_rows() -> list[Row]:
    return list(_rows(schema.ChatCompletionChunk, ChatCompletionChunk, ""))


def _rows(theirs: type, ours: type[msgspec.Struct], prefix: str) -> Iterator[Row]:
    """The rows of an object that is a struct of ours."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(ours)}
    for name, annotation in _fields(theirs).items():
        if name == ours.__struct_config__.tag_field:
            yield Row(f"{prefix}{name}", "typed", ours.__name__, "")
            continue
        if name not in fields:
            yield from _below(name, annotation, prefix, Row("", "extra", ours.__name__, "extra"))
            continue
        field = fields[name]
        path = f"{prefix}{name}"
        yield Row(path, "typed", ours.__name__, field.name)
        structs = list(_classes(field.type, msgspec.Struct))
        for inner, step in _objects(annotation):
            tag = step.strip(".[]")
            matching = [struct for struct in structs if len(structs) == 1 or struct.__struct_config__.tag == tag]
            if matching:
                yield from _rows(inner, matching[0], path + step)
            else:
                yield from _plain_rows(inner, path + step, Row("", "plain", ours.__name__, field.name))


def _plain_rows(theirs: type, prefix: str, kept: Row) -> Iterator[Row]:
    """The rows of an object that is kept as it is."""
    for name, annotation in _fields(theirs).items():
        yield from _below(name, annotation, prefix, kept)


def _below(name: str, annotation: object, prefix: str, kept: Row) -> Iterator[Row]:
    path = f"{prefix}{name}"
    yield kept._replace(path=path)
    for inner, step in _objects(annotation):
        yield from _plain_rows(inner, path + step, kept)


def _fields(theirs: type) -> dict[str, Any]:
    if is_typeddict(theirs):
        return typing.get_type_hints(theirs)
    assert issubclass(theirs, BaseModel)
    return {field.alias or name: field.annotation for name, field in theirs.model_fields.items()}


def _objects(annotation: object) -> Iterator[tuple[type, str]]:
    """The objects that a field may hold, each with the step that leads into it."""
    found = list(dict.fromkeys(_classes(annotation, BaseModel)))
    is_list = _holds_list(annotation)
    for inner in found:
        tag = _tag(inner) if len(found) > 1 else ""
        yield inner, f"[{tag}]." if is_list or tag else "."


def _tag(theirs: type) -> str:
    """What tells this object from its siblings."""
    for name in ("role", "type"):
        values = typing.get_args(_fields(theirs).get(name))
        if len(values) == 1:
            return str(values[0])
    raise TypeError(f"{theirs.__name__} has neither role nor type")


def _holds_list(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_holds_list(part) for part in typing.get_args(annotation))
    return (
        origin is not None and isinstance(origin, type) and issubclass(origin, typing.Iterable) and origin is not dict
    )


def _classes(annotation: object, base: type) -> Iterator[Any]:
    """The classes of objects in an annotation: structs of ours, or models and typed dicts of theirs."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        is_object = issubclass(annotation, base) and annotation is not base
        if is_object or (base is BaseModel and is_typeddict(annotation)):
            yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _classes(part, base)


_HEAD = f"""\
# Where each field is

Every field of the API's schema for chat completions, and where firsttoken has it. The names are those of the types in
the official client, openai {VERSION}; `uv run just fields` writes this page.

- `Type.field`: a field of one of [`firsttoken.types`](../../src/firsttoken/types.py).
- plain, in `Type.field`: you give it, or get it, as plain JSON values (dicts, lists, …) inside that field.

A field that is not here, because a server has it of its own or because it is new, is in `extra` of what it came in; to
send one, put it into the request's `extra`.
"""


def page() -> str:
    sections = (("Request", request_rows()), ("Completion", completion_rows()), ("Chunk", chunk_rows()))
    tables = [
        f"\n## {title}\n\n| field | where |\n| --- | --- |\n"
        + "".join(f"| `{row.path}` | {row.place} |\n" for row in rows)
        for title, rows in sections
    ]
    return _HEAD + "".join(tables)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
