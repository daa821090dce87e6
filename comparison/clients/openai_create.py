import openai


def answer(question, emit):
    client = openai.OpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultHttpx2Client(transport=question.transport()),
    )
    stream = client.chat.completions.create(model="m", messages=question.messages, stream=True, **question.options)
    for chunk in stream:
        for choice in chunk.choices or ():
            if not choice.index and choice.delta is not None:
                emit(choice.delta.content)
