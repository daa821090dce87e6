"""Checks the built site: `python -m tests.site docs/_build/html`, which `just docs` runs.

Every link inside of it leads somewhere, anchors included; nothing is loaded from elsewhere; each public name is on one
page, two clicks from the first one at most.
"""

import importlib
import pkgutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import firsttoken

START = "index.html"
MAX_CLICKS = 2


class Place(NamedTuple):
    """A page of the site, and an anchor there; "" is its top."""

    page: str
    anchor: str


class Page(HTMLParser):
    """What links of a page need.

    Attributes:
        anchors: that can be led to.
        links: as they are written.
        visible: those that are seen without opening a part of the sidebar.
        loaded: what a browser fetches to show the page.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.visible: list[str] = []
        self.loaded: list[str] = []
        self._sidebar_divs = 0
        self._item = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag leads to or is."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag == "div" and (self._sidebar_divs or "sidebar-tree" in values.get("class", "")):
            self._sidebar_divs += 1
        elif tag == "li":
            self._item = values.get("class", "")
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])
            if not self._sidebar_divs or "toctree-l1" in self._item:
                self.visible.append(values["href"])
        elif tag in {"img", "script", "iframe", "source"} and "src" in values:
            self.loaded.append(values["src"])
        elif tag == "link" and values.get("rel") in {"stylesheet", "preload", "icon"}:
            self.loaded.append(values.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        """Notice the end of the sidebar."""
        if tag == "div" and self._sidebar_divs:
            self._sidebar_divs -= 1


class Site:
    """A folder of pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.pages = {
            path.relative_to(self.folder).as_posix(): Page(path.read_text(encoding="utf-8"))
            for path in sorted(self.folder.rglob("*.html"))
            if "_static" not in path.parts
        }

    def place(self, page: str, link: str) -> Place | None:
        """Where a link leads; None is another host, and a place without a page is out of the folder."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        path = (self.folder / page).parent / unquote(parts.path) if parts.path else self.folder / page
        path = path.resolve()
        name = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else ""
        return Place(name, unquote(parts.fragment))

    def dead_links(self) -> list[str]:
        """Links that lead nowhere, and images and the like that are not there."""
        return [
            f"{name}: dead link {link}"
            for name, page in self.pages.items()
            for link in dict.fromkeys([*page.links, *page.loaded])
            if not self._leads_somewhere(name, link)
        ]

    def _leads_somewhere(self, name: str, link: str) -> bool:
        place = self.place(name, link)
        if place is None:
            return True
        page = self.pages.get(place.page)
        return place.anchor in page.anchors if page else (self.folder / place.page).is_file()

    def loaded_from_elsewhere(self) -> list[str]:
        """What pages would ask other hosts for."""
        return [
            f"{name}: loads {url}"
            for name, page in self.pages.items()
            for url in page.loaded
            if urlsplit(url).netloc or urlsplit(url).scheme not in {"", "data"}
        ]

    def clicks(self) -> dict[str, int]:
        """How many clicks each page is away from the first one."""
        found, at = {START: 0}, [START]
        for page in at:
            for link in self.pages[page].visible:
                place = self.place(page, link)
                if place and place.page in self.pages and place.page not in found:
                    found[place.page] = found[page] + 1
                    at.append(place.page)
        return found

    def far_names(self) -> list[str]:
        """Public names that are not on one page, or on one that is far away."""
        clicks, wrong = self.clicks(), list[str]()
        modules = [firsttoken, *map(importlib.import_module, public_modules())]
        for module in modules:
            for name in filter(lambda name: not name.startswith("__"), module.__all__):
                value = getattr(module, name)
                ids = {f"{other.__name__}.{name}" for other in modules if getattr(other, name, None) is value}
                on = [page for page, content in self.pages.items() if ids & content.anchors]
                if len(on) != 1:
                    wrong.append(f"{module.__name__}.{name}: is on {on or 'no page'}, must be on one")
                elif clicks.get(on[0], MAX_CLICKS + 1) > MAX_CLICKS:
                    wrong.append(f"{module.__name__}.{name}: {on[0]} is more than {MAX_CLICKS} clicks away")
        return wrong


def public_modules() -> list[str]:
    """The modules that users import."""
    found = pkgutil.iter_modules(firsttoken.__path__, "firsttoken.")
    return [module.name for module in found if not module.name.partition(".")[2].startswith("_")]


def main() -> int:
    """Check the site in the folder that is named."""
    site = Site(Path(sys.argv[1]))
    wrong = [*site.dead_links(), *site.loaded_from_elsewhere(), *site.far_names()]
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    sys.stderr.write(f"{len(site.pages)} pages, {len(wrong)} mistakes\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
