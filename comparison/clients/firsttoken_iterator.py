from firsttoken import Client, Timeout


def answer(question, emit):
    timeout = Timeout(first_chunk_s=question.timeout_s, idle_s=question.timeout_s)
    with Client(question.key, question.base_url, timeout=timeout, max_retries=0) as client:
        for text in client.chat_completion_stream("m", question.text, **question.options).iter_text():
            emit(text)
