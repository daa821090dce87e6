"""The pages that show the comparison, as its JSON has it: `python -m comparison.page`."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parents[1] / "docs"
DATA = Path(__file__).with_name("comparison.json")
PAGE = _DOCS / "reference" / "comparison.md"
GUIDE = _DOCS / "how-to" / "guard.md"
LANDING = _DOCS / "index.md"
WHY_NOT = _DOCS / "explanation" / "why-not.md"
_TABLE = re.compile(r"(?<=<!-- comparison: just frameworks -->\n).*?(?=<!-- end -->)", re.DOTALL)

VERDICTS = {
    "error": ("·", "the error is raised, and all that had arrived was given"),
    "lost": ("l", "the error is raised, but text that had arrived before it was not given"),
    "silent": ("**S**", "no error: half an answer, or none, is taken for the complete one"),
    "hang": ("**H**", "the client still waits after {limit_s:g} s"),
    "complete": ("·", "the complete answer"),
    "other text": ("**t**", "no error, but another text than the one that was sent"),
    "refused": ("e", "an error, though the answer is complete"),
}
"""What can come of a fault: the sign in the matrix, and what it means; the first four of one that breaks the answer."""

_BROKEN = ("error", "lost", "silent", "hang")
_GOOD = ("complete", "other text", "refused", "hang")


def counted(client: dict[str, Any], broken: dict[str, bool]) -> dict[str, dict[str, int]]:
    """How many faults of each kind came to each verdict."""
    found: dict[str, Counter[str]] = {"broken": Counter(), "good": Counter()}
    for name, result in client["results"].items():
        if name in broken:
            found["broken" if broken[name] else "good"][result["verdict"]] += 1
    return {kind: dict(counts) for kind, counts in found.items()}


def page(data: dict[str, Any]) -> str:
    """The page of the comparison."""
    broken = _broken(data)
    count = sum(broken.values())
    legend = "\n".join(
        f"| {sign} | {words.format(limit_s=data['limit_s'])} |" for sign, words in dict.fromkeys(VERDICTS.values())
    )
    clients = data["clients"]
    numbers = " | ".join(str(number) for number in range(1, len(clients) + 1))
    rows = "\n".join(
        f"| `{name}` | " + " | ".join(VERDICTS[client["results"][name]["verdict"]][0] for client in clients) + " |"
        for is_broken in (True, False)
        for name in broken
        if broken[name] is is_broken and all(name in client["results"] for client in clients)
    )
    return f"""# The fault comparison

What each client makes of [{len(broken)} faults](faults.md): {count} break the answer, and a client has to raise;
{len(broken) - count} are odd, but the answer is complete. Every client streams over a real connection to the same
server, is told to wait {data["timeout_s"]:g} s at most for the next bytes where it can be told, and not to retry.
"Guarded" is the same client over [`firsttoken.guard`](../how-to/guard.md).

It is measured, not claimed: `uv run just frameworks` installs each client into an environment of its own, runs it, and
writes this page (Python {data["python"]}). The drivers are a few lines each, in `comparison/clients/`;
`comparison/comparison.json` has every result with its error. A finish reason that stands for an error (`abort`,
`network_error`) counts as one; a client that raises nothing may still show it.

{_summary(data)}
Of broken answers *error* to *hang*, of the others *complete* to *hang*. {_repeated(data)}

## Fault by fault

| sign | meaning |
| --- | --- |
{legend}

The columns are the clients by their number above; first the faults that break the answer, then those that don't.

| fault | {numbers} |
| --- | {" | ".join(["---"] * len(clients))} |
{rows}
"""


def _summary(data: dict[str, Any]) -> str:
    broken = _broken(data)
    lines = [
        "| client | # | error | text lost | **silent** | **hang** | complete | other text | refused | hang |",
        "| --- " + "| ---: " * 9 + "|",
    ]
    for number, client in enumerate(data["clients"], 1):
        counts = counted(client, broken)
        cells = [counts["broken"].get(verdict, 0) for verdict in _BROKEN]
        cells += [counts["good"].get(verdict, 0) for verdict in _GOOD]
        name = f"**{client['name']}**" if client["is_ours"] else client["name"]
        lines.append(f"| {name}{_versions(client)} | {number} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _repeated(data: dict[str, Any]) -> str:
    """Which clients sent a request more than once, though their retries were off."""
    broken = _broken(data)
    found: list[str] = []
    for client in data["clients"]:
        most = max(result["requests"] for name, result in client["results"].items() if broken.get(name))
        if most > 1:
            found.append(f"{client['name']} (up to {most})")
    return (
        f"With retries switched off, one broken answer caused more than one request in: {', '.join(found) or 'none'}."
    )


def _versions(client: dict[str, Any]) -> str:
    shown = [f"{name} {version}" for name, version in client["versions"].items()]
    return f" <small>{', '.join(shown)}</small>" if shown else ""


def table(data: dict[str, Any]) -> str:
    """The table of the guide: what each framework misses, with and without the guard."""
    broken = _broken(data)
    by_name = {client["name"]: client for client in data["clients"]}
    lines = [
        f"| of {sum(broken.values())} broken answers | taken for complete | guarded | hang | guarded |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, client in by_name.items():
        guarded = by_name.get(f"{name}, guarded")
        if guarded is None:
            continue
        plain_counts, guarded_counts = (counted(found, broken)["broken"] for found in (client, guarded))
        cells = [counts.get(verdict, 0) for verdict in ("silent", "hang") for counts in (plain_counts, guarded_counts)]
        lines.append(f"| {name}{_versions(client)} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


_ON_THE_LANDING_PAGE = {
    "firsttoken, iterator": "**firsttoken**",
    "openai": "`openai`",
    "openai, guarded": "`openai` with firsttoken's [guard](how-to/guard.md)",
    "langchain-openai": "`langchain-openai`",
    "pydantic-ai": "`pydantic-ai`",
    "litellm": "`litellm`",
    "any-llm": "`any-llm`",
    "lm15": "`lm15`",
    "AI SDK, fullStream": "Vercel's AI SDK",
}


_COMPARED_ONE_BY_ONE = ("firsttoken, iterator", "openai", "litellm", "any-llm", "lm15")


def short_table(data: dict[str, Any]) -> str:
    """The table of the landing page: what comes of broken answers, in a few clients."""
    broken = _broken(data)
    by_name = {client["name"]: client for client in data["clients"]}
    lines = [
        (
            f"| of {sum(broken.values())} broken answers "
            "| an error | an error, text lost | **taken for complete** | **hang** |"
        ),
        "| --- " + "| ---: " * 4 + "|",
    ]
    for name, shown in _ON_THE_LANDING_PAGE.items():
        counts = counted(by_name[name], broken)["broken"]
        lines.append(f"| {shown} | " + " | ".join(str(counts.get(verdict, 0)) for verdict in _BROKEN) + " |")
    return "\n".join(lines) + "\n"


def receipts(data: dict[str, Any]) -> str:
    """The table of "Why not X": the same with versions, and the complete answers that are refused."""
    broken = _broken(data)
    by_name = {client["name"]: client for client in data["clients"]}
    bad, good = (list(broken.values()).count(is_broken) for is_broken in (True, False))
    lines = [
        (
            f"| of {bad} broken answers "
            f"| an error | an error, text lost | taken for complete | hang | of {good} others refused |"
        ),
        "| --- " + "| ---: " * 5 + "|",
    ]
    for client in (by_name[name] for name in _COMPARED_ONE_BY_ONE):
        versions = ", ".join(f"{package} {number}" for package, number in client["versions"].items())
        counts = counted(client, broken)
        cells = [counts["broken"].get(verdict, 0) for verdict in _BROKEN] + [counts["good"].get("refused", 0)]
        lines.append(f"| {versions} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def tables(data: dict[str, Any]) -> dict[Path, str]:
    """The table of each page that has one among text of its own."""
    return {GUIDE: table(data), LANDING: short_table(data), WHY_NOT: receipts(data)}


def with_table(text: str, table: str) -> str:
    """A page with the table of these results."""
    return _TABLE.sub(lambda _: table, text)


def _broken(data: dict[str, Any]) -> dict[str, bool]:
    return {name: fault["is_broken"] for name, fault in data["faults"].items()}


def write(data: dict[str, Any]) -> None:
    """Write the pages."""
    PAGE.write_text(page(data), encoding="utf-8")
    for path, made in tables(data).items():
        path.write_text(with_table(path.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(DATA.read_text(encoding="utf-8")))
