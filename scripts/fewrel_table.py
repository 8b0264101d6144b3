"""Train and test the cells of the FewRel table: fewrel_table.py [--cells 15_ori:shared:catalogue ...]

Cells that are in the log already are not run again. Each measurement is appended to results/test-runs.jsonl by
zsre-eval; the table is rendered from there into results/fewrel.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

LOG, TABLE = Path("results/test-runs.jsonl"), Path("results/fewrel.md")
CONFIG = "configs/fewrel.yaml"
#: Where the relation texts come from: zsre's catalogue, or the file that published figures were made with.
TEXTS = {"catalogue": "wikidata", "published": "fewrel/relations.json"}
Cell = tuple[str, str, str]
CELLS: tuple[Cell, ...] = (
    *((f"{m}_ori", pairing, "catalogue") for m in (5, 10, 15) for pairing in ("shared", "marked")),
    ("15_ori", "shared", "published"),
)
#: F1 as published (Table 1 of the paper), BERT-base, mean of five partitions.
PUBLISHED = {"5": ("97.79", "92.58"), "10": ("91.66", "82.93"), "15": ("80.06", "73.66")}


def run_name(cell: Cell) -> str:
    """Return what the run of a cell is called, under runs/ and in the log."""
    split, pairing, texts = cell
    return f"fewrel-{split}-{pairing}" + ("" if texts == "catalogue" else f"-{texts}")


def run_cell(cell: Cell) -> None:
    """Train one cell, unless it is trained, and measure it on its test relations."""
    split, pairing, texts = cell
    data = Path(os.environ.get("ZSRE_DATA", "data"))
    run = Path("runs") / run_name(cell)
    settings = {
        "name": run.name,
        "split": f"fewrel/splits/{split}.json",
        "model.pairing": pairing,
        "texts.sources": f"[{TEXTS[texts]}]",
    }
    command = ["zsre-train", CONFIG, "-o", str(run)]
    for field, value in settings.items():
        command += ["--set", f"{field}={value}"]
    if (run / "config.yaml").is_file():
        command = ["zsre-train", "--resume", str(run)]
    subprocess.run(command, check=True)
    relations = TEXTS[texts] if texts == "catalogue" else str(data / TEXTS[texts])
    subprocess.run(
        ["zsre-eval", str(run), "--data", str(data / "fewrel/fewrel.json.gz"), "--relations", relations]
        + ["--split", str(data / f"fewrel/splits/{split}.json"), "--part", "test", "--log", str(LOG)],
        check=True,
    )


def logged() -> dict[str, dict[str, Any]]:
    """Return the last measurement of each run."""
    if not LOG.is_file():
        return {}
    return {line["model"]: line for line in map(json.loads, LOG.read_text(encoding="utf-8").splitlines())}


def render() -> str:
    """Return the table as Markdown."""
    found = logged()
    lines = [
        "# FewRel, partition `ori`",
        "",
        f"Test relations, all 700 instances each; {CONFIG}: MiniLM (22.7 M parameters), 150 examples a relation, one",
        "epoch, one seed, two CPU cores. `python scripts/fewrel_table.py`, rendered " + date.today().isoformat(),
        "from [test-runs.jsonl](test-runs.jsonl), the log of every measurement on test relations. P, R and F1 in the",
        "paper's metric (macro precision over the classes predicted at all, macro recall, their harmonic mean).",
        "",
        "Texts: `catalogue` are zsre's own descriptions, written before anything was measured with them, with examples",
        "of each relation at hand to get its direction right; `published` are RE-Matching's, which the published",
        "figures below were made with.",
        "",
        "| m | pairing | texts | P | R | F1 | scikit-learn macro F1 | pairs | measured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in CELLS:
        line = found.get(run_name(cell))
        m, pairing, texts = cell[0].partition("_")[0], cell[1], cell[2]
        if line is None:
            lines.append(f"| {m} | {pairing} | {texts} | not run | | | | | |")
        else:
            cells = (line["precision"], line["recall"], line["f1"], line["sklearn_macro_f1"])
            figures = " | ".join(f"{value:.2f}" for value in cells)
            lines.append(f"| {m} | {pairing} | {texts} | {figures} | {line['pairs']} | {line['date'][:10]} |")
    lines += [
        "",
        "For comparison, as published, with BERT-base, the mean of five partitions (F1):",
        "",
        "| m | SDZRE | RE-Matching |",
        "| --- | --- | --- |",
        *(f"| {m} | {sdzre} | {matching} |" for m, (sdzre, matching) in PUBLISHED.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that are missing and render the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="*", help="such as 15_ori:shared:catalogue; default: all")
    parser.add_argument("--again", action="store_true", help="measure cells that are in the log once more")
    arguments = parser.parse_args()
    chosen = [cell for cell in CELLS if not arguments.cells or ":".join(cell) in arguments.cells]
    if not chosen:
        sys.exit(f"no such cell; there are {', '.join(':'.join(cell) for cell in CELLS)}")
    for cell in chosen:
        if arguments.again or run_name(cell) not in logged():
            run_cell(cell)
    TABLE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
