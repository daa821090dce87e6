"""Fill in a form while the model writes it: `python examples/structured_output.py "a pasta dish"`.

Asks the server of OPENAI_BASE_URL (OpenAI's by default), with the model of OPENAI_MODEL.
"""

import os
import sys
from typing import Annotated

import msgspec

from firsttoken import Client, chat_completion_request
from firsttoken.errors import ChatCompletionError


class Recipe(msgspec.Struct):
    """A recipe."""

    title: str
    minutes: Annotated[int, msgspec.Meta(ge=1, le=600)]
    ingredients: Annotated[list[str], msgspec.Meta(min_length=2, max_length=6)]


def main(dish: str) -> int:
    """Ask for a recipe, show it as it grows, and print it when it is whole."""
    request = chat_completion_request(
        os.environ.get("OPENAI_MODEL", "gpt-5-mini"), f"A recipe for {dish}, in JSON.", response_format=Recipe
    )
    try:
        with Client() as client, client.chat_completion_stream(request) as stream:
            for partial in stream.iter_partial():
                print(f"\r{partial}"[:100], end="", file=sys.stderr, flush=True)
        recipe = stream.completion.parse(Recipe)
    except ChatCompletionError as error:
        print(f"\nno recipe: {error}", file=sys.stderr)
        return 1
    print(f"\n{recipe.title}, {recipe.minutes} minutes: {', '.join(recipe.ingredients)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "a pasta dish"))
