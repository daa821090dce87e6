import httpx2
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def answer(question, emit):
    http_client = httpx2.AsyncClient(transport=question.async_transport(), timeout=question.timeout_s)
    provider = OpenAIProvider(base_url=question.base_url, api_key=question.key, http_client=http_client)
    provider.client.max_retries = 0
    agent = Agent(OpenAIChatModel("m", provider=provider), retries=0)
    async with agent.run_stream(question.text) as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            emit(text)
