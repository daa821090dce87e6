import openai


def answer(question, emit):
    client = openai.OpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultHttpx2Client(transport=question.transport()),
    )
    with client.chat.completions.stream(model="m", messages=question.messages, **question.options) as stream:
        for event in stream:
            if event.type == "chunk":  # "content.delta" does not say of which choice it is
                for choice in event.chunk.choices:
                    if not choice.index:
                        emit(choice.delta.content)
