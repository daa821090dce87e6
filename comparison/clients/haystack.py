from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret


def answer(question, emit):
    guard = question.transport()
    generator = OpenAIChatGenerator(
        api_key=Secret.from_token(question.key),
        model="m",
        api_base_url=question.base_url,
        max_retries=0,
        timeout=question.timeout_s,
        streaming_callback=lambda chunk: emit(chunk.content),
        http_client_kwargs=None if guard is None else {"transport": guard},
    )
    generator.run([ChatMessage.from_user(question.text)])
