import openai
from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

set_tracing_disabled(True)


async def answer(question, emit):
    client = openai.AsyncOpenAI(
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=openai.DefaultAsyncHttpx2Client(transport=question.async_transport()),
    )
    agent = Agent(name="answerer", model=OpenAIChatCompletionsModel("m", client))
    result = Runner.run_streamed(agent, question.text)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            emit(event.data.delta)
