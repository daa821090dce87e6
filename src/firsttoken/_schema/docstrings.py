"""Docstrings to what they say of a function and of its parameters, in the styles of Google, NumPy and Sphinx."""

import inspect
import re

_SECTIONS = (
    r"Args|Arguments|Attributes|Example|Examples|Keyword Args|Keyword Arguments|Note|Notes|Other Parameters|Parameters"
    r"|Raises|References|Return|Returns|See Also|Todo|Warning|Warnings|Warns|Yield|Yields"
)
_OF_PARAMETERS = frozenset({"args", "arguments", "keyword args", "keyword arguments", "other parameters", "parameters"})
_HEADING = re.compile(rf"^(?P<name>{_SECTIONS})(?::[ \t]*|[ \t]*\n-{{3,}}[ \t]*)$", re.MULTILINE)
_SPHINX = re.compile(
    r"^:(?:(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*?\s)?\*{0,2}(\w+)|\w[^:]*):", re.MULTILINE
)
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:[ \t]*,[ \t]*\*{0,2}\w+)*)[ \t]*(?::.*)?$")


def read_docstring(function: object) -> tuple[str, dict[str, str]]:
    """What a function does, all paragraphs of it, and what each of its parameters is."""
    text = inspect.getdoc(function) or ""
    headings = [*_HEADING.finditer(text)]
    fields = [*_SPHINX.finditer(text)]
    end = min([found.start() for found in (*headings[:1], *fields[:1])], default=len(text))
    described: dict[str, str] = {}
    for heading, after in zip(headings, [*headings[1:], None], strict=False):
        if heading["name"].lower() in _OF_PARAMETERS:
            section = text[heading.end() : None if after is None else after.start()]
            described |= _numpy_entries(section) if "---" in heading[0] else _google_entries(section)
    for field, after in zip(fields, [*fields[1:], None], strict=False):
        if field[1]:
            described[field[1]] = _joined(
                text[field.end() : None if after is None else after.start()].partition("\n\n")[0]
            )
    paragraphs = re.split(r"\n[ \t]*\n", text[:end].strip())
    return "\n\n".join(map(_joined, paragraphs)), described


def _google_entries(section: str) -> dict[str, str]:
    """Entries that begin at the first indentation; further indented lines continue the one before."""
    described: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + _indented(section)).splitlines():
        entry = _GOOGLE_ENTRY.match(line)
        if entry is not None:
            name = entry[1]
            described[name] = entry[2].strip()
        elif name:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described


def _numpy_entries(section: str) -> dict[str, str]:
    """Entries `name : type` at the margin, what they are indented below."""
    described: dict[str, str] = {}
    names: list[str] = []
    for line in section.strip("\n").splitlines():
        entry = _NUMPY_ENTRY.match(line)
        if entry is not None:
            names = re.findall(r"\w+", entry[1])
        for name in names if line.startswith((" ", "\t")) else ():
            described[name] = f"{described.get(name, '')} {line.strip()}".strip()
    return described


def _indented(section: str) -> str:
    """The lines of a section up to the first that is back at the margin."""
    lines: list[str] = []
    for line in section.strip("\n").splitlines():
        if line.strip() and not line.startswith((" ", "\t")):
            break
        lines.append(line)
    return "\n".join(lines)


def _joined(text: str) -> str:
    return " ".join(text.split())
