"""Messages of a request, in the API reference's order, and the functions that make them."""

from collections.abc import Mapping, Sequence

import msgspec

Content = str | Sequence[Mapping[str, object]]
"""Text, or a list of content parts (`{"type": "text", "text": …}`, `{"type": "image_url", …}`, …)."""


class _Message(msgspec.Struct, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    pass


class DeveloperMessage(_Message, tag_field="role", tag="developer"):
    """Instructions of the developer, which the model follows before the user's."""

    content: Content
    name: str | None = None


class SystemMessage(_Message, tag_field="role", tag="system"):
    """Instructions of the developer, for models without the "developer" role."""

    content: Content
    name: str | None = None


class UserMessage(_Message, tag_field="role", tag="user"):
    """The user's message: text, or parts with images, audio or files."""

    content: Content
    name: str | None = None


class AssistantMessage(_Message, tag_field="role", tag="assistant"):
    """An earlier answer of the model. `function_call` is what old answers have in place of tool calls."""

    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Sequence[Mapping[str, object] | msgspec.Struct] | None = None
    audio: Mapping[str, object] | None = None
    function_call: Mapping[str, object] | None = None


class ToolMessage(_Message, tag_field="role", tag="tool"):
    """The result of a tool call."""

    content: Content
    tool_call_id: str


def developer_message(content: Content, *, name: str | None = None) -> DeveloperMessage:
    """Make a message of the role "developer"."""
    return DeveloperMessage(content=content, name=name)


def system_message(content: Content, *, name: str | None = None) -> SystemMessage:
    """Make a message of the role "system"."""
    return SystemMessage(content=content, name=name)


def user_message(content: Content, *, name: str | None = None) -> UserMessage:
    """Make a message of the role "user"; `content` is text or a list of content parts."""
    return UserMessage(content=content, name=name)


def assistant_message(
    content: Content | None = None,
    *,
    name: str | None = None,
    refusal: str | None = None,
    tool_calls: Sequence[Mapping[str, object] | msgspec.Struct] | None = None,
    audio: Mapping[str, object] | None = None,
) -> AssistantMessage:
    """Make a message of the role "assistant".

    A `completion.choices[0].message` can be put into `messages` as it is; this is for answers kept elsewhere.
    """
    return AssistantMessage(content=content, name=name, refusal=refusal, tool_calls=tool_calls, audio=audio)


def tool_message(content: Content, tool_call_id: str) -> ToolMessage:
    """Make a message of the role "tool": the result of the call that has the id `tool_call_id`."""
    return ToolMessage(content=content, tool_call_id=tool_call_id)
