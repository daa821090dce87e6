import httpx
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike


def answer(question, emit):
    model = OpenAILike(
        model="m",
        api_base=question.base_url,
        api_key=question.key,
        is_chat_model=True,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=httpx.Client(transport=question.transport()),
    )
    for part in model.stream_chat([ChatMessage(role="user", content=question.text)]):
        emit(part.delta)
