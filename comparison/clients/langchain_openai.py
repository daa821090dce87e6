import httpx2
import langchain_openai


def answer(question, emit):
    model = langchain_openai.ChatOpenAI(
        model="m",
        base_url=question.base_url,
        api_key=question.key,
        max_retries=0,
        timeout=question.timeout_s,
        http_client=httpx2.Client(transport=question.transport()),
    )
    for message in model.stream(question.text):
        emit(message.content)
