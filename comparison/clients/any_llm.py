import any_llm
import openai


async def answer(question, emit):
    client_args = {
        "max_retries": 0,
        "http_client": openai.DefaultAsyncHttpx2Client(transport=question.async_transport()),
    }
    stream = await any_llm.acompletion(
        provider="openai",
        model="m",
        api_base=question.base_url,
        api_key=question.key,
        messages=question.messages,
        stream=True,
        timeout=question.timeout_s,
        client_args=client_args,
        **question.options,
    )
    async for chunk in stream:
        for choice in chunk.choices:
            if not choice.index:
                emit(choice.delta.content)
