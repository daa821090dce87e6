"""The arguments of both clients' methods: a request, or a model, messages and fields."""

from collections.abc import Mapping
from typing import Any, cast

from firsttoken._models.request import ChatCompletionRequest, Messages, chat_completion_request
from firsttoken.errors import ConfigurationError

_EXAMPLE = 'as in client.chat_completion("gpt-5-mini", "Why is the sky blue?")'


def as_request(request: object, messages: object, fields: Mapping[str, object]) -> ChatCompletionRequest:
    """The request of a call.

    Raises:
        ConfigurationError: both a request and fields were given, or no messages, or an unknown field.
    """
    fields = dict(fields)
    if isinstance(request, ChatCompletionRequest):
        given = ["messages"] * (messages is not None) + list(fields)
        if given:
            raise ConfigurationError(
                f"{', '.join(given)} can't be combined with a request",
                hint="put it into the request" if len(given) == 1 else "put them into the request",
            )
        return request
    model = fields.pop("model", None) if request is None else request
    if model is None:
        raise ConfigurationError("neither a request nor a model was given", hint=_EXAMPLE)
    if not isinstance(model, str):
        raise ConfigurationError(
            f"expected a ChatCompletionRequest or the name of a model, not {type(model).__name__}",
            hint=_EXAMPLE,
        )
    if messages is None:
        raise ConfigurationError(
            f"no messages for the model {model!r}",
            hint=_EXAMPLE,
        )
    return chat_completion_request(model, cast("Messages", messages), **cast("dict[str, Any]", fields))


def callback_in(request: object, second: object, on_chunk: object) -> tuple[object, object]:
    """The messages and the callback of a call: after a request, the second argument is the callback."""
    if isinstance(request, ChatCompletionRequest) and callable(second):
        if on_chunk is not None:
            raise ConfigurationError("on_chunk was given twice", hint="pass it as the second argument or as on_chunk=")
        return None, second
    return second, on_chunk


def check_is_sync(on_chunk: object) -> None:
    """Check that the callback of the sync client is not an async function.

    Raises:
        ConfigurationError: it is one.
    """
    import inspect  # here, so that only calls with a callback load it

    called = getattr(on_chunk, "func", on_chunk)
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            "on_chunk is an async function, which the sync client can't await",
            hint="use AsyncClient, or pass a plain function",
        )
