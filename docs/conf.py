"""How Sphinx builds the site: `just docs`."""

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from docutils import nodes
from sphinx import addnodes
from sphinx_design.shared import PassthroughTextElement

import firsttoken

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "firsttoken"
author = "The firsttoken maintainers"
copyright = author
release = version = firsttoken.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_llm.txt",
]
exclude_patterns = ["_build", "Thumbs.db", ".DS_Store"]
default_role = "code"

html_theme = "furo"
html_title = "firsttoken"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0a58ca", "color-brand-content": "#0a58ca"},
    "dark_css_variables": {"color-brand-primary": "#6ea8fe", "color-brand-content": "#6ea8fe"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

llms_txt_full_build = True
llms_txt_description = firsttoken.__doc__.splitlines()[0] if firsttoken.__doc__ else project

PUBLIC_MODULES = (
    "firsttoken",
    "firsttoken.types",
    "firsttoken.errors",
    "firsttoken.events",
    "firsttoken.sansio",
    "firsttoken.web",
    "firsttoken.guard",
    "firsttoken.otel",
    "firsttoken.batch",
    "firsttoken.bench",
    "firsttoken.local",
    "firsttoken.testing",
)
"""In the order of the reference. A name that several of them export is on the page of the module that it shows."""

_API = Path(__file__).parent / "reference" / "api"
_SOURCES = Path(__file__).resolve().parents[1] / "src"
_STOP_AT = "Struct, BaseException, Exception, ValueError, ConnectionError, TimeoutError, EOFError, tuple, Protocol"

_COLON = "\ue000"
"""A stand-in."""

_MADE_BY_THE_LIBRARY = {"AsyncChatCompletionStream", "ChatCompletionStream", "RelayResponse", "Results"}
"""Classes that nobody else makes: what their constructors take is shown to nobody."""

_NOT_OURS = "errno, filename, filename2, strerror, with_traceback, add_note"


def _as_rst(text: str) -> str:
    """Our docstrings as reStructuredText: code in single backticks, and examples that are just indented."""
    return re.sub(r"(?<![:\w])\n\n(?=    \S)", "\n\n::\n\n", _as_literals(text))


def _as_literals(text: str) -> str:
    """Code in double backticks; a letter right behind it, as of a plural, is set off."""
    return re.sub(
        r"(?<!`)`([^`]+?)\s*`(?!`)(\w?)", lambda found: f"``{found[1]}``" + (rf"\ {found[2]}" * bool(found[2])), text
    )


def _format_docstring(*arguments: object) -> None:
    lines = cast("list[str]", arguments[-1])
    lines[:] = _as_literals("\n".join(lines).replace(_COLON, ":")).splitlines()


def _hide_first_colon(*arguments: object) -> None:
    """So that napoleon does not take what is before the colon for the type of a property or of data."""
    kind, lines = arguments[1], cast("list[str]", arguments[-1])
    if kind in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(":", _COLON, 1)


def _hide_private_bases(*arguments: object) -> None:
    bases = cast("list[type]", arguments[-1])
    bases[:] = [base for base in bases if _is_public(base)]


def _is_public(base: type) -> bool:
    return base is not object and not any(part.startswith("_") for part in getattr(base, "__module__", "").split("."))


def _format_signature(*arguments: object) -> tuple[str, str | None] | None:
    """Without what nobody needs, and in Python alone, since Sphinx links nothing in a signature that it can't parse."""
    kind, name, signature, returned = arguments[1], arguments[2], arguments[-2], arguments[-1]
    if kind == "class" and str(name).rpartition(".")[2] in _MADE_BY_THE_LIBRARY:
        return "", None
    return (signature.replace("<factory>", "..."), cast("str | None", returned)) if isinstance(signature, str) else None


def _entry(module: str, name: str, value: object) -> str:
    if inspect.isclass(value):
        options = ["members:", f"inherited-members: {_STOP_AT}", f"exclude-members: {_NOT_OURS}"]
        if any(map(_is_public, value.__bases__)):
            options.append("show-inheritance:")
        return f".. autoclass:: {module}.{name}\n" + "".join(f"   :{option}\n" for option in options)
    if inspect.isfunction(value):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {module}.{name}\n   :no-value:\n"


def write_api_pages() -> None:
    """Write a page for each public module, with every public name that is not on the page of another."""
    _API.mkdir(exist_ok=True)
    written: set[int] = set()
    for module in PUBLIC_MODULES:
        found = importlib.import_module(module)
        entries: list[str] = []
        for name in found.__all__:
            value = getattr(found, name)
            home = getattr(value, "__module__", module)
            if name.startswith("__") or (home != module and home in PUBLIC_MODULES) or id(value) in written:
                continue
            written.add(id(value))
            entries.append(_entry(module, name, value))
        title = f"{module}\n{'=' * len(module)}\n"
        body = "\n".join(
            [title, _as_rst(inspect.getdoc(found) or ""), "", f".. module:: {module}\n   :no-index:\n", *entries]
        )
        page = _API / f"{module}.rst"
        if not page.exists() or page.read_text(encoding="utf-8") != body:
            page.write_text(body, encoding="utf-8")


_REPOSITORY_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")


def _link_within_the_site(_app: "Sphinx", name: str, source: list[str]) -> None:
    """Links to public modules lead to their pages; those to folders and READMEs, which are not here, are text."""
    folder = (_API.parents[1] / name).parent

    def resolved(found: re.Match[str]) -> str:
        path = (folder / found[2]).resolve()
        module = path.parent if path.name == "__init__.py" else path.with_suffix("")
        dotted = module.relative_to(_SOURCES).as_posix().replace("/", ".") if module.is_relative_to(_SOURCES) else ""
        if dotted in PUBLIC_MODULES:
            return f"[{found[1]}](/reference/api/{dotted}.rst)"
        is_missing = path.is_dir() or (path.suffix == ".md" and not path.is_relative_to(_API.parents[1]))
        return found[1] if is_missing else found[0]

    source[0] = _REPOSITORY_LINK.sub(resolved, source[0])


def setup(app: "Sphinx") -> None:
    """Have the pages of the API written before Sphinx looks for sources."""
    write_api_pages()
    app.connect("source-read", _link_within_the_site)
    app.connect("autodoc-process-docstring", _hide_first_colon, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", _format_docstring)
    app.connect("autodoc-process-bases", _hide_private_bases)
    app.connect("autodoc-process-signature", _format_signature)
    for node in (nodes.abbreviation, addnodes.desc_optional, PassthroughTextElement):
        app.add_node(node, override=True, markdown=(_enter, _leave))  # the Markdown builder does not know them


def _enter(_translator: object, _node: object) -> None: ...


def _leave(_translator: object, _node: object) -> None: ...
