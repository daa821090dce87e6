"""What answers cost, by genai-prices."""

from decimal import Decimal
from importlib import import_module
from typing import Protocol, cast

from firsttoken._version import install_hint
from firsttoken.errors import ConfigurationError
from firsttoken.types import ChatCompletion


class _Price(Protocol):
    total_price: Decimal


class _Library(Protocol):
    """What is used of genai-prices."""

    def Usage(self, **counts: int | None) -> object: ...  # noqa: N802 - its name
    def calc_price(self, usage: object, model_ref: str, *, provider_api_url: str | None) -> _Price: ...


class Prices:
    """Prices of a server's models.

    Args:
        base_url: of the server, which tells the provider; a model's own name does where that is not known.

    Raises:
        ConfigurationError: genai-prices is not installed (extra `batch`).
    """

    def __init__(self, base_url: str | None) -> None:
        try:
            self._library = cast("_Library", import_module("genai_prices"))
        except ModuleNotFoundError as error:
            raise ConfigurationError("prices need the package genai-prices", hint=install_hint("batch")) from error
        self._url = base_url
        self._is_known: dict[str, bool] = {}

    def cost_usd(self, completion: ChatCompletion) -> float | None:
        """What an answer cost, in US dollars; None where its usage or its model's price is not known."""
        usage = completion.usage
        if usage is None:
            return None
        details = usage.prompt_tokens_details
        cached = None if details is None else details.cached_tokens
        counted = self._library.Usage(
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, cache_read_tokens=cached
        )
        return self.price(completion.model, counted)

    def estimate_usd(self, model: str, prompt_tokens: int) -> float | None:
        """What prompts cost, before anything is sent; None where the model's price is not known."""
        return self.price(model, self._library.Usage(input_tokens=prompt_tokens, output_tokens=0))

    def price(self, model: str, usage: object) -> float | None:
        """The price of what was used of a model."""
        if self._is_known.get(model) is False:
            return None
        for url in dict.fromkeys((self._url, None)):
            try:
                price = float(self._library.calc_price(usage, model, provider_api_url=url).total_price)
            except LookupError:
                continue
            self._is_known[model] = True
            return price
        self._is_known[model] = False
        return None
