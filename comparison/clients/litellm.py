import litellm
import openai


def answer(question, emit):
    client = openai.OpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultHttpx2Client(transport=question.transport()),
    )
    stream = litellm.completion(
        model="openai/m",
        messages=question.messages,
        stream=True,
        client=client,
        max_retries=0,
        timeout=question.timeout_s,
        **question.options,
    )
    for chunk in stream:
        for choice in chunk.choices:
            if not choice.index:
                emit(choice.delta.content)
