import openai
from smolagents import OpenAIModel
from smolagents.models import ChatMessage, MessageRole


def answer(question, emit):
    model = OpenAIModel(
        "m",
        api_base=question.base_url,
        api_key=question.key,
        retry=False,  # it would wait a minute after a 429
        client_kwargs={
            "max_retries": 0,
            "timeout": question.timeout_s,
            "http_client": openai.DefaultHttpx2Client(transport=question.transport()),
        },
    )
    content = [{"type": "text", "text": question.text}]
    for delta in model.generate_stream([ChatMessage(role=MessageRole.USER, content=content)]):
        emit(delta.content)
