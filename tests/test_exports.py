"""The doors: what is public, that it is documented, and that it shows where it is from."""

import importlib
import inspect
import pickle
from types import ModuleType

import pytest

import firsttoken

DOORS = [
    "firsttoken",
    "firsttoken.types",
    "firsttoken.errors",
    "firsttoken.events",
    "firsttoken.sansio",
    "firsttoken.local",
    "firsttoken.testing",
    "firsttoken.batch",
    "firsttoken.web",
    "firsttoken.guard",
    "firsttoken.otel",
]
PROMISED = {
    *("Client", "AsyncClient", "Timeout", "STOP", "ChatCompletionRequest", "chat_completion_request"),
    *("system_message", "developer_message", "user_message", "assistant_message", "tool_message"),
    *("ChatCompletion", "ChatCompletionChunk", "ChatCompletionStream", "AsyncChatCompletionStream"),
}


def public(door: str) -> list[tuple[str, object]]:
    module = importlib.import_module(door)
    return [(name, getattr(module, name)) for name in module.__all__]


EVERYTHING = [(door, name, value) for door in DOORS for name, value in public(door)]
each_name = pytest.mark.parametrize(
    ("door", "name", "value"), EVERYTHING, ids=[f"{door}.{name}" for door, name, _ in EVERYTHING]
)


@pytest.mark.parametrize("door", DOORS)
def test_all_is_sorted_and_has_no_double(door: str) -> None:
    names: list[str] = importlib.import_module(door).__all__
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_documented_and_lists_its_names(door: str) -> None:
    module = importlib.import_module(door)
    assert isinstance(module, ModuleType)
    assert module.__doc__
    assert set(module.__all__) <= set(dir(module))


def test_the_promised_names_are_there() -> None:
    assert set(firsttoken.__all__) >= PROMISED
    with pytest.raises(AttributeError, match="module 'firsttoken' has no attribute 'nonsense'"):
        _ = firsttoken.nonsense


@each_name
def test_a_public_name_is_documented(door: str, name: str, value: object) -> None:
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    assert value.__doc__, f"{door}.{name}"
    if not inspect.isclass(value):
        return
    for method_name, method in vars(value).items():
        shown = method.fget if isinstance(method, property) else method
        if not method_name.startswith("_") and inspect.isfunction(shown):
            assert inspect.getdoc(shown), f"{door}.{name}.{method_name}"


@each_name
def test_a_public_class_or_function_shows_its_door(door: str, name: str, value: object) -> None:
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ in DOORS, f"{door}.{name}"
        assert getattr(importlib.import_module(value.__module__), value.__name__) is value
        assert pickle.loads(pickle.dumps(value)) is value


@each_name
def test_nothing_public_says_any_through_its_door(door: str, name: str, value: object) -> None:
    functions = [value] if inspect.isfunction(value) else []
    if inspect.isclass(value):
        functions = [found for found in vars(value).values() if inspect.isfunction(found) and found.__name__[0] != "_"]
    for function in functions:
        assert "Any" not in repr(function.__annotations__), f"{door}.{name}"
