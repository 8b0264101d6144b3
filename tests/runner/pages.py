"""Pages of the documentation, taken apart so that tests can compare them with the code."""

from __future__ import annotations

import re
from pathlib import Path


def read_page(name: str) -> str:
    """Return the text of a page of ``docs/``."""
    return (Path(__file__).parents[2] / "docs" / name).read_text("utf-8")


def section(page: str, title: str) -> str:
    """Return what stands under a heading of the second level."""
    return re.split(r"^## ", page.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> set[str]:
    """Return the names in code type in the first column of the tables of a text, without what follows a space."""
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^` ]+)[^`]*`", row)}
