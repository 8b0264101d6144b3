"""The first triples of a run, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsre.relations.terminal import printable, write_out, writing_out
from zsre.runner.output import OutputDirectory

_WIDE_TERMINAL: Final = 110
_SHOWN_COLUMNS: Final = ("head", "relation", "tail", "score", "sentence")


def show_triples(output: OutputDirectory, most: int) -> None:
    """Print the first ``most`` rows of a run."""
    console = Console()
    with writing_out(), console.capture() as captured:
        console.print(triples_table(first_triples(output, most), console.width))
    write_out(captured.get())


def first_triples(output: OutputDirectory, most: int) -> list[dict[str, Any]]:
    """Return the first ``most`` rows of a run, those columns of them that the table shows."""
    return list(islice(_rows(output), most))


def triples_table(rows: list[dict[str, Any]], width: int) -> Table:
    """Lay out rows for a terminal of ``width`` columns; one that is too narrow goes without the sentences."""
    columns = _SHOWN_COLUMNS if width >= _WIDE_TERMINAL else _SHOWN_COLUMNS[:-1]
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for column in columns:
        if column == "score":
            table.add_column(column, justify="right", min_width=5)
        else:
            table.add_column(column, ratio=5 if column == "sentence" else 2, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            *(f"{row[column]:.2f}" if column == "score" else Text(printable(row[column])) for column in columns)
        )
    return table


def _rows(output: OutputDirectory) -> Iterator[dict[str, Any]]:
    for name in output.part_names():
        with output.folder.open(name) as file, pq.ParquetFile(file) as part:
            for batch in part.iter_batches(batch_size=64, columns=list(_SHOWN_COLUMNS)):
                yield from batch.to_pylist()
