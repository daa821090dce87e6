"""The key and the request of most tests, by themselves: for processes that have to start quickly."""

from firsttoken import chat_completion_request

REQUEST = chat_completion_request("test-model", "Why is the sky blue?")
KEY = "sk-test-0123456789abcdef"
