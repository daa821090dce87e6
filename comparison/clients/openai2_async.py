import openai


async def answer(question, emit):
    client = openai.AsyncOpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultAsyncHttpxClient(transport=question.async_transport()),
    )
    stream = await client.chat.completions.create(
        model="m", messages=question.messages, stream=True, **question.options
    )
    async for chunk in stream:
        for choice in chunk.choices or ():
            if not choice.index and choice.delta is not None:
                emit(choice.delta.content)
