"""Messages of a request, in the API reference's order, and the functions that make them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import msgspec

from firsttoken._models.base import EXTRA_NAME
from firsttoken._models.completion import ChatCompletionMessage
from firsttoken._models.tables import without_reasoning
from firsttoken._models.value import BYTES, Value, check_object, result_text, wire_names
from firsttoken.errors import ConfigurationError, ResponseFormatError

Content = str | Sequence[Mapping[str, object]]
"""Text, or a list of content parts (`{"type": "text", "text": …}`, `{"type": "image_url", …}`, …)."""

ToolCalls = Sequence[Mapping[str, object] | msgspec.Struct]


class _Message(Value, kw_only=True, omit_defaults=True, eq=False):
    """The base of all messages. Further fields are sent beside the known ones. Two are equal if they are sent alike.

    Raises:
        ConfigurationError: the content is neither text nor a list of parts.
    """

    extra: dict[str, object] = msgspec.field(default_factory=dict, name=EXTRA_NAME)  # pyright: ignore[reportUnknownVariableType]

    @classmethod
    def _role(cls) -> str:
        return str(cls.__struct_config__.tag)

    def __post_init__(self) -> None:
        check_content(getattr(self, "content", None), self._role())

    def to_dict(self) -> dict[str, object]:
        """The message as plain Python, as it is sent; of an assistant's audio only the id is sent."""
        return {"role": self._role()} | super().to_dict()

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make one from a dict, which is not changed; `from_dict(x.to_dict()) == x`.

        Raises:
            ResponseFormatError: it has another role, or a field has the wrong type.
        """
        fields = check_object(value, cls)
        role = fields.pop("role", None)
        if role != cls._role():
            raise ResponseFormatError(
                f"expected a message with the role {cls._role()!r}, not {role!r}",
                hint="firsttoken.types.message_from_dict reads a message of any role",
            )
        known = [name for name, _ in wire_names(cls) if fields.get(name) is not None]
        given = {name: fields.pop(name) for name in known}
        try:
            return cls(**given, extra=fields)
        except (ConfigurationError, TypeError) as error:
            raise ResponseFormatError(f"invalid {role} message: {error}") from error

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if type(other) is type(self) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other  # msgspec's own would compare identities


class DeveloperMessage(_Message, tag_field="role", tag="developer"):
    """Instructions of the developer, which the model follows before the user's."""

    role: ClassVar[Literal["developer"]] = "developer"
    content: Content
    name: str | None = None


class SystemMessage(_Message, tag_field="role", tag="system"):
    """Instructions of the developer, for models without the "developer" role."""

    role: ClassVar[Literal["system"]] = "system"
    content: Content
    name: str | None = None


class UserMessage(_Message, tag_field="role", tag="user"):
    """The user's message: text, or parts with images, audio or files."""

    role: ClassVar[Literal["user"]] = "user"
    content: Content
    name: str | None = None


class AssistantMessage(_Message, tag_field="role", tag="assistant"):
    """An earlier answer of the model. Old answers have `function_call` in place of tool calls."""

    role: ClassVar[Literal["assistant"]] = "assistant"
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: ToolCalls | None = None
    audio: Mapping[str, object] | None = None
    function_call: Mapping[str, object] | None = None

    @property
    def reasoning_text(self) -> str:
        """The model's reasoning, from whichever field has it; "" if there is none."""
        return ChatCompletionMessage.from_dict(self.to_dict()).reasoning_text

    def without_reasoning(self) -> "AssistantMessage":
        """The message without reasoning under any name, for a server that refuses it; this one is not changed."""
        return AssistantMessage.from_dict(without_reasoning(self.to_dict()))


class ToolMessage(_Message, tag_field="role", tag="tool"):
    """The result of a tool call."""

    role: ClassVar[Literal["tool"]] = "tool"
    content: Content
    tool_call_id: str


Message = DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | ChatCompletionMessage
"""Any message: those of a request, and that of a completion."""

_BY_ROLE: dict[object, type[_Message]] = {
    kind._role(): kind for kind in (DeveloperMessage, SystemMessage, UserMessage, AssistantMessage, ToolMessage)
}


def message_from_dict(value: Mapping[str, object]) -> Message:
    """Make a message from a dict, by its role; it is sent as the dict was.

    Args:
        value: as `to_dict()` of any message returns it, or as another program saved it; it is not changed.

    Raises:
        ResponseFormatError: it is not a message.
    """
    role = check_object(value, _Message).get("role")
    if role not in _BY_ROLE:
        raise ResponseFormatError(
            f"unknown role of a message: {role!r}", hint=f"the roles are {', '.join(map(str, _BY_ROLE))}"
        )
    message: Message = _BY_ROLE[role].from_dict(value)  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    return message


def developer_message(content: Content, *, name: str | None = None, **fields: object) -> DeveloperMessage:
    """Make a message of the role "developer"; further fields are sent as they are."""
    return DeveloperMessage(content=content, name=name, extra=fields)


def system_message(content: Content, *, name: str | None = None, **fields: object) -> SystemMessage:
    """Make a message of the role "system"; further fields are sent as they are."""
    return SystemMessage(content=content, name=name, extra=fields)


def user_message(content: Content, *, name: str | None = None, **fields: object) -> UserMessage:
    """Make a message of the role "user"; `content` is text or a list of content parts.

    Further fields are sent as they are.

    Raises:
        ConfigurationError: the content is neither.
    """
    return UserMessage(content=content, name=name, extra=fields)


def assistant_message(
    content: Content | None = None,
    *,
    tool_calls: ToolCalls | None = None,
    name: str | None = None,
    refusal: str | None = None,
    audio: Mapping[str, object] | None = None,
    **fields: object,
) -> AssistantMessage:
    """Make a message of the role "assistant".

    A `completion.message` can be put into `messages` as it is; this is for answers kept elsewhere. Further fields
    (`reasoning_content=…`, `prefix=True`) are sent as they are.
    """
    return AssistantMessage(
        content=content, name=name, refusal=refusal, tool_calls=tool_calls, audio=audio, extra=fields
    )


def tool_message(value: object, tool_call_id: str, **fields: object) -> ToolMessage:
    """Make a message of the role "tool": the result of the call that has the id `tool_call_id`.

    Args:
        value: the result. A `str` and a list of content parts are sent as they are, anything else as its JSON.
        tool_call_id: the `id` of the call.
        **fields: further fields, sent as they are.

    Raises:
        ConfigurationError: it can't be encoded as JSON, for instance bytes.
    """
    return ToolMessage(content=result_text(value), tool_call_id=tool_call_id, extra=fields)


def check_content(content: object, role: str) -> None:
    """Check the content of a message.

    Raises:
        ConfigurationError: it is neither text nor a list of parts.
    """
    if _is_text_or_list(content) or (content is None and role == "assistant"):
        return
    raise ConfigurationError(
        f"the content of a {role} message must be text or a list of content parts, not {type(content).__name__}",
        hint=_content_hint(content),
    )


def is_plain_text(message: object) -> bool:
    """Whether a message has nothing but text, as most have: the encoder takes it as it is."""
    if not isinstance(message, DeveloperMessage | SystemMessage | UserMessage | AssistantMessage):
        return False
    if type(message.content) is not str or message.extra or message.name is not None:
        return False
    return not isinstance(message, AssistantMessage) or not (
        message.refusal or message.tool_calls or message.audio or message.function_call
    )


def _is_text_or_list(content: object) -> bool:
    return isinstance(content, Sequence) and not isinstance(content, BYTES)  # a str is a sequence


def _content_hint(content: object) -> str | None:
    if isinstance(content, BYTES):
        return "decode text (data.decode()); image_part, audio_part and file_part take other data"
    if isinstance(content, Mapping):
        return "put a single part into a list: [part]"
    if hasattr(content, "message") and hasattr(content, "choices"):
        return "completion.text is the text; completion.message goes into messages as it is"
    return None
