"""How figures are printed for people."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsre.relations.terminal import printable

_LEFT: Final = frozenset({"", "relation", "name", "and", "stated", "given instead", "seen in training"})


def figures_table(*columns: str) -> Table:
    """Return an empty table; numbers stand on the right and are never wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column not in _LEFT
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    return table


def print_line(console: Console, text: str) -> None:
    """Print a line as it is: names hold brackets, and a line is wrapped by the terminal or not at all."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def name_cell(name: str) -> Text:
    """Return a name as a table shows it: nothing in it is taken for markup, or for a command to the terminal."""
    return Text(printable(name))


def percent(share: float) -> str:
    """Return a share as percent."""
    return f"{100 * share:.2f}"
