from lm15 import Message, OpenAIChatLM, Request, StreamDeltaEvent, TextDelta
from lm15.transports import StdlibTransport


def answer(question, emit):
    transport = StdlibTransport(read_timeout=question.timeout_s)
    lm = OpenAIChatLM(api_key=question.key, base_url=question.base_url, transport=transport)
    request = Request(model="m", messages=(Message.user(question.text),))
    for event in lm.stream(request):
        if isinstance(event, StreamDeltaEvent) and isinstance(event.delta, TextDelta):
            emit(event.delta.text)
