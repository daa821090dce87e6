"""Deviations of chunks, choices and deltas."""

from tests.quirks.example import END, HEL, HELLO, LO, Example, Json, Seen, choice, delta, says, stream, usage

_FILTERED = {"hate": {"filtered": False}}


def _summary(text: str, signature: str) -> Json:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text, "signature": signature}]}


CHUNKS = {
    "own-fields": Example(
        stream(
            {"choices": [], "prompt_filter_results": [_FILTERED]},
            *(
                {
                    "provider": "P",
                    "choices": [{"index": 0, "delta": {"content": word, "d": 1}, "native_finish_reason": None}],
                }
                for word in ("H", "e", "l", "lo")
            ),
            END,
        ),
        Seen(
            extra={
                "prompt_filter_results": [_FILTERED],
                "provider": "P",
                "choice.native_finish_reason": None,
                "message.d": 1,
            }
        ),
    ),
    "padding": Example(
        stream({**HEL, "p": "ab"}, {**LO, "p": "abcd"}, {**END, "obfuscation": "x"}), Seen(extra={"p": "abcd"})
    ),
    "no-choices": Example(stream({"id": "a"}, HEL, {"choices": None}, LO, {"usage": None}, END)),
    "empty-choices": Example(
        stream({"choices": []}, HEL, {"choices": [], "cost": "0"}, LO, END, {"choices": []}), Seen(extra={"cost": "0"})
    ),
    "odd-head": Example(
        stream({"id": "", "model": "", "object": "", "created": 0, **HEL}, {"id": "a", **LO}, {"model": "m", **END})
    ),
    "changing-head": Example(stream(*({**part, "id": f"i{n}", "created": n} for n, part in enumerate(HELLO)))),
    "null-head": Example(
        stream({"id": None, "object": None, "created": None, "model": None, "usage": None, **HEL}, LO, END)
    ),
    "odd-object": Example(
        stream(
            {"object": "text_completion", **HEL},
            {"object": "chat.completion", **LO},
            {"object": "chat.completion.done", **END},
        ),
        Seen(extra={"object": "chat.completion.done"}),
    ),
    "created-odd": Example(stream({"created": 1.5, **HEL}, {"created": "17", **LO}, END)),
    "id-number": Example(stream({"id": 7, **HEL}, LO, END)),
}

CHOICES = {
    "finish-absent": Example(
        stream(choice(delta={"content": "Hel"}), choice(delta={"content": "lo"}), END, done=False)
    ),
    "finish-empty": Example(stream(says("Hel", ""), says("lo", ""), END, done=False)),
    "finish-null": Example(stream(says("Hel", "null"), *(says(c, "null") for c in "l"), says("o", "None"), END)),
    "finish-never": Example(
        stream(HEL, LO),
        Seen(
            finish=None,
            failure="StreamTruncatedError: stream truncated after 2 chunks: [DONE] but no finish_reason for choice 0",
        ),
    ),
    "finish-own-word": Example(stream(HEL, says("lo", "eos_token")), Seen(finish="eos_token")),
    "finish-repeated": Example(stream(HEL, says("lo", "length"), END, delta("stop")), Seen()),
    "finish-between-calls": Example(
        stream(
            delta("tool_calls", tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]),
            delta("tool_calls", tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]),
        ),
        Seen("", calls=(("a", "f", "{}"), ("b", "g", "{}")), finish="tool_calls"),
    ),
    "finish-with-text": Example(stream(HEL, says("lo", "stop"), done=False)),
    "index-odd": Example(
        stream(
            {"choices": [{"delta": {"content": "Hel"}}, {"index": "1", "delta": {"content": "B"}}]},
            {"choices": [{"index": None, "delta": {"content": "lo"}}]},
            END,
        ),
        Seen(others={1: ("B", None)}),
    ),
    "any-order": Example(
        stream(
            delta(index=2, content="C"),
            {"choices": [*delta(index=1, content="B")["choices"], *HEL["choices"]]},
            delta("length", index=2),
            LO,
            delta("stop", index=1, content="b"),
            END,
            done=False,
        ),
        Seen(others={1: ("Bb", "stop"), 2: ("C", "length")}),
    ),
    "numbered-pieces": Example(
        stream(HEL, delta(index=1, content="l"), delta(index=2, content="o"), delta("stop", index=3))
    ),
    "message-beside-delta": Example(
        stream(
            choice(delta={"content": "Hel"}, message={"content": "Hel"}),
            choice(delta={"content": "lo"}, message={"content": "Hello"}),
            choice(delta={}, message={"content": "Hello"}, finish_reason="stop"),
            done=False,
        ),
        Seen(extra={"choice.message": {"content": "Hello"}}),
    ),
    "message-for-delta": Example(
        stream(*(choice(message={"content": word}) for word in ("H", "e", "l", "lo")), choice(finish_reason="stop"))
    ),
    "message-at-end-alike": Example(
        stream(HEL, LO, choice(message={"role": "assistant", "content": "Hello"}, finish_reason="stop"))
    ),
    "message-at-end": Example(
        stream(
            HEL,
            LO,
            {
                "object": "chat.completion",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
                ],
                **usage(1, 2),
            },
            done=False,
        ),
        Seen(usage=(1, 2)),
    ),
    "text-for-delta": Example(stream(*(choice(text=word) for word in ("H", "e", "l", "lo")), END)),
    "text-beside-delta": Example(
        stream(
            *(choice(text=word, delta={"content": word, "token_id": 5}) for word in ("H", "e", "l", "lo")),
            choice(text="", delta={}, finish_reason="stop"),
        ),
        Seen(extra={"choice.text": "", "message.token_id": 5}),
    ),
    "null-delta": Example(stream(HEL, choice(delta=None), LO, choice(finish_reason="stop"))),
    "logprobs-odd": Example(
        stream(
            choice(delta={"content": "Hel"}, logprobs=-0.5),
            choice(delta={"content": "lo"}, logprobs={"tokens": ["lo"], "token_logprobs": [-1]}),
            END,
        ),
        Seen(extra={"choice.logprobs": -0.5, "logprobs.tokens": ["lo"], "logprobs.token_logprobs": [-1]}),
    ),
    "logprobs-own-fields": Example(
        stream(
            choice(delta={"content": "Hello"}, logprobs={"content": [], "reasoning_content": [1]}),
            END,
        ),
        Seen(extra={"logprobs.reasoning_content": [1]}),
    ),
}


def _block(**fields: str) -> Json:
    return {"type": "reasoning.text", "index": 0, **fields}


_THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]

DELTAS = {
    "role-repeated": Example(stream(*(delta(role="assistant", content=word) for word in ("Hel", "lo")), END)),
    "role-never": Example(stream(delta(role=None, content="Hel"), LO, END)),
    "content-parts": Example(
        stream(
            *(delta(content=_THINKING) for _ in range(3)),
            delta(content=[{"type": "text", "text": "H"}]),
            delta(content=[{"type": "text", "text": "e"}]),
            says("l"),
            says("lo", "stop"),
        ),
        Seen(
            reasoning="HmHmHm",
            parts=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "HmHmHm"}]},
                {"type": "text", "text": "Hello"},
            ],
        ),
    ),
    "reasoning-content": Example(
        stream(delta(reasoning_content="Hm"), delta(reasoning_content="."), *HELLO), Seen(reasoning="Hm.")
    ),
    "reasoning": Example(stream(delta(reasoning="Hm"), delta(reasoning="."), *HELLO), Seen(reasoning="Hm.")),
    "reasoning-twice": Example(
        stream(
            *(
                delta(reasoning=word, reasoning_content=word, reasoning_details=[{"text": word}])
                for word in ("Hm", ".")
            ),
            *HELLO,
        ),
        Seen(reasoning="Hm.", details=[{"text": "Hm."}]),
    ),
    "content-reasoning": Example(
        stream(
            *(delta(content=[_summary(text, "")]) for text in ("Hm", ".")),
            delta(content=[_summary("", "s")]),
            delta(content=[{"type": "text", "text": "Hel"}]),
            delta(content=[{"type": "text", "text": "lo"}]),
            END,
        ),
        Seen(reasoning="Hm.", parts=[_summary("Hm.", "s"), {"type": "text", "text": "Hello"}]),
    ),
    "content-kept": Example(
        stream(HEL, delta(content=[{"type": "reference", "reference_ids": [1]}]), LO, END),
        Seen(parts=[{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "Hello"}]),
    ),
    "content-object": Example(
        stream(*(delta(content={"type": "output_text", "text": text}) for text in ("Hel", "lo")), END),
        Seen(parts=[{"type": "output_text", "text": "Hello"}]),
    ),
    "reasoning-signed-late": Example(
        stream(
            delta(reasoning_details=[_block(text="Hm", signature="")]),
            delta(reasoning_details=[_block(text=".", signature="")]),
            delta(reasoning_details=[_block(text="", signature="s")]),
            delta(reasoning_details=[_block(text="More", signature="")]),
            delta(reasoning_details=[_block(signature="t")]),
            *HELLO,
        ),
        Seen(reasoning="Hm.More", details=[_block(text="Hm.", signature="s"), _block(text="More", signature="t")]),
    ),
    "reasoning-details-alone": Example(
        stream(*(delta(reasoning_details=[{"text": text}]) for text in ("Hm", ".")), *HELLO),
        Seen(reasoning="Hm.", details=[{"text": "Hm."}]),
    ),
    "reasoning-text": Example(
        stream(delta(reasoning_text="Hm"), delta(reasoning_text="."), delta(reasoning_opaque="o"), *HELLO),
        Seen(reasoning="Hm.", extra={"message.reasoning_text": "Hm.", "message.reasoning_opaque": "o"}),
    ),
    "reasoning-object": Example(
        stream(
            *(delta(reasoning_content=part) for part in ({"text": "Hm"}, {"text": "."}, {"signature": "s"})), *HELLO
        ),
        Seen(reasoning="Hm.", extra={"message.reasoning_content": {"text": "Hm.", "signature": "s"}}),
    ),
    "thinking-blocks": Example(
        stream(
            *(
                delta(reasoning_content=word, thinking_blocks=[{"type": "thinking", "thinking": word, "signature": ""}])
                for word in ("Hm", ".")
            ),
            delta(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "s"}]),
            *HELLO,
        ),
        Seen(
            reasoning="Hm.",
            extra={"message.thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]},
        ),
    ),
    "content-blocks": Example(
        stream(
            *(delta(content_blocks=[{"index": 0, "delta": {"thinking": word}}]) for word in ("Hm", ".")),
            delta(content_blocks=[{"index": 0, "delta": {"signature": "s"}}]),
            delta(content="Hello", content_blocks=[{"index": 1, "delta": {"text": "Hello"}}]),
            END,
        ),
        Seen(
            reasoning="Hm.",
            extra={
                "message.content_blocks": [
                    {"type": "thinking", "index": 0, "thinking": "Hm.", "signature": "s"},
                    {"type": "text", "index": 1, "text": "Hello"},
                ]
            },
        ),
    ),
    "thinking-text": Example(stream(delta(thinking="Hm"), delta(thinking="."), *HELLO), Seen(reasoning="Hm.")),
    "lists-joined": Example(
        stream(
            *({**says(word), "choices": [{**says(word)["choices"][0], "token_ids": [1]}]} for word in ("Hel", "lo")),
            delta(images=[{"index": 0}]),
            delta(images=[{"index": 1}]),
            END,
        ),
        Seen(extra={"choice.token_ids": [1, 1], "message.images": [{"index": 0}, {"index": 1}]}),
    ),
    "surrogate-halves": Example(
        stream(*(b'data: {"choices":[{"delta":{"content":"\\u%s"}}]}\n\n' % half for half in (b"d83d", b"de00")), END),
        Seen("\N{GRINNING FACE}"),
    ),
    "reasoning-own-name": Example(
        stream(delta(cot_summary="Hm"), delta(cot_summary="."), says("<think>x</think>"), END),
        Seen("<think>x</think>", "Hm.", extra={"message.cot_summary": "Hm."}),
    ),
    "reasoning-pieces": Example(
        stream(
            *(delta(reasoning=word, reasoning_details=[_block(text=word)]) for word in ("Hm", ".")),
            delta(reasoning_details=[_block(signature="s")]),
            *HELLO,
        ),
        Seen(reasoning="Hm.", details=[_block(text="Hm.", signature="s")]),
    ),
    "audio-end": Example(
        stream(
            delta(audio={"id": "a", "transcript": "Hi"}),
            delta(audio={"data": "SGVs"}),
            delta(audio={"data": "bG8="}),
            {"choices": [], **usage(1, 2)},
            delta(audio={"expires_at": 17}),
        ),
        Seen("", finish=None, usage=(1, 2), audio=("SGVsbG8=", "Hi", 17)),
    ),
    "audio-padded": Example(
        stream(delta(audio={"data": "SGU="}), delta(audio={"data": "bA=="}), delta("stop", audio={"data": "bG8="})),
        Seen("", audio=("SGVsbG8=", None, None)),
    ),
    "tool-calls-object": Example(
        stream(delta("tool_calls", tool_calls={"id": "a", "function": {"name": "f", "arguments": "{}"}})),
        Seen("", calls=(("a", "f", "{}"),), finish="tool_calls"),
    ),
}
