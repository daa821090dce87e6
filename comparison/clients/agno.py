import openai
from agno.models.message import Message
from agno.models.openai.like import OpenAILike


def answer(question, emit):
    client = openai.OpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultHttpx2Client(transport=question.transport()),
    )
    model = OpenAILike(id="m", base_url=question.base_url, api_key=question.key, client=client)
    for response in model.response_stream([Message(role="user", content=question.text)]):
        emit(response.content)
