"""Evaluate a model on questions with known answers: `python examples/evaluate.py answers.jsonl`.

The answers are kept in that file. Run it again and only what is missing is sent; an answer that was cut on its way is
never graded. Asks the server of OPENAI_BASE_URL, with the model of OPENAI_MODEL.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from firsttoken.batch import run

QUESTIONS = {
    "What is the capital of France?": "Paris",
    "What is 12 times 12?": "144",
    "Which planet is closest to the sun?": "Mercury",
    "Who wrote Hamlet?": "Shakespeare",
}


def rows() -> Iterator[dict[str, str]]:
    """A row for each question; its id is the question, so that its answer is found again."""
    for question in QUESTIONS:
        yield {"id": question, "prompt": f"{question} Answer in one word."}


def answers(output: Path) -> dict[str, str]:
    """The complete answers in the output, by question."""
    lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return {
        line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"]
        for line in lines
        if line["error"] is None
    }


def main(output: Path) -> int:
    """Send what is missing, grade all that is there."""
    model = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
    summary = run(rows(), output, model=model, defaults={"max_completion_tokens": 500}, retry_errors=True)
    found = answers(output)
    correct = [question for question, text in found.items() if QUESTIONS[question].lower() in text.lower()]
    for question in QUESTIONS:
        mark = "?" if question not in found else "+" if question in correct else "-"
        print(f"{mark} {question} {found.get(question, '')!r}")
    print(f"{len(correct)} of {len(found)} correct; {summary.complete} new, {summary.failed} failed")
    return 0 if len(found) == len(QUESTIONS) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "answers.jsonl")))
