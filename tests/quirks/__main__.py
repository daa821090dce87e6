"""The command: `python -m tests.quirks` writes the page of the docs."""

from tests.quirks.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
