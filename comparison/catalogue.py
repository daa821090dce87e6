"""The clients that are compared, what is installed for each, and where its driver stands."""

from dataclasses import dataclass
from pathlib import Path

DRIVERS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Client:
    """A client, in one way of using it.

    Attributes:
        name: as the page has it.
        driver: the file in `clients`.
        environment: the name of its environment; clients that share one share what is installed.
        packages: what is installed there, as pip or npm takes it; their versions are shown.
        is_guarded: whether it goes through `firsttoken.guard`.
        takes_n: whether its driver can ask for several choices.
    """

    name: str
    driver: str
    environment: str
    packages: tuple[str, ...]
    is_guarded: bool = False
    takes_n: bool = True

    @property
    def is_node(self) -> bool:
        """Whether it runs under Node, and not under Python."""
        return self.driver.endswith(".mjs")

    @property
    def is_ours(self) -> bool:
        """Whether firsttoken answers for what it gives."""
        return self.is_guarded or self.environment == "firsttoken"


def _with_guard(
    name: str, driver: str, environment: str, *packages: str, takes_n: bool = False
) -> tuple[Client, Client]:
    plain = Client(name, driver, environment, packages, takes_n=takes_n)
    return plain, Client(f"{name}, guarded", driver, environment, packages, is_guarded=True, takes_n=takes_n)


CLIENTS: tuple[Client, ...] = (
    Client("firsttoken, iterator", "firsttoken_iterator.py", "firsttoken", ()),
    Client("firsttoken, callback", "firsttoken_callback.py", "firsttoken", ()),
    Client("firsttoken, asyncio", "firsttoken_async.py", "firsttoken", ()),
    *_with_guard("openai", "openai_create.py", "openai", "openai", takes_n=True),
    *_with_guard("openai, asyncio", "openai_async.py", "openai", "openai", takes_n=True),
    *_with_guard("openai, .stream()", "openai_stream.py", "openai", "openai", takes_n=True),
    *_with_guard("openai 2 (httpx)", "openai2_create.py", "openai-2", "openai<3", takes_n=True),
    *_with_guard("openai 2 (httpx), asyncio", "openai2_async.py", "openai-2", "openai<3", takes_n=True),
    *_with_guard("langchain-openai", "langchain_openai.py", "langchain", "langchain-openai"),
    *_with_guard("pydantic-ai", "pydantic_ai.py", "pydantic-ai", "pydantic-ai-slim[openai]"),
    *_with_guard("openai-agents", "openai_agents.py", "openai-agents", "openai-agents"),
    *_with_guard("llama-index", "llama_index.py", "llama-index", "llama-index-llms-openai-like"),
    *_with_guard("haystack", "haystack.py", "haystack", "haystack-ai"),
    *_with_guard("litellm", "litellm.py", "litellm", "litellm", takes_n=True),
    *_with_guard("any-llm", "any_llm.py", "any-llm", "any-llm-sdk[openai]", "openai", takes_n=True),
    *_with_guard("smolagents", "smolagents.py", "smolagents", "smolagents[openai]"),
    *_with_guard("agno", "agno.py", "agno", "agno", "openai"),
    Client("lm15", "lm15.py", "lm15", ("lm15",), takes_n=False),
    Client("openai (Node)", "openai_node.mjs", "node", ("openai",)),
    Client("AI SDK, textStream", "ai_sdk_text.mjs", "node", ("ai", "@ai-sdk/openai-compatible"), takes_n=False),
    Client("AI SDK, fullStream", "ai_sdk_full.mjs", "node", ("ai", "@ai-sdk/openai-compatible"), takes_n=False),
)
