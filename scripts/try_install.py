"""Try the zsre that is installed beside this Python on the examples in the current directory.

It has to be an install without extras, so without torch. Standing apart from the sources, this imports nothing of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

CORPUS, OUTPUT = Path("corpus.jsonl"), Path("corpus.triples")


def main() -> None:
    """Run every check; stop with a message at the first that fails."""
    for package in ("torch", "transformers", "sentence_transformers"):
        check(importlib.util.find_spec(package) is None, f"{package} came along with a plain install")
    check_imports()
    check_missing_extra()
    check_extraction()


def check_imports() -> None:
    """Import every module that extraction may need, and look whether that pulled in one for training."""
    for package in ("zsre.relations", "zsre.runner"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    strays = sorted(name for name in sys.modules if name.startswith(("zsre.trainer", "zsre.exporter")))
    check(not strays, f"extraction imports {', '.join(strays)}")


def check_missing_extra() -> None:
    """Ask for what needs the extra ``train``: one line has to say how to install it."""
    for command in (("zsre-train", "relations.yaml"), ("zsre-export", "model.onnx")):
        done = run(*command)
        lines = done.stderr.splitlines()
        told = len(lines) == 1 and "pip install 'zsre[train]'" in lines[0]
        check(done.returncode == 2 and told, f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def check_extraction() -> None:
    """Extract from the examples with the model that ships, and check the triples against the texts."""
    done = run("zsre-extract", str(CORPUS), "--relations", "relations.yaml", "--show", "10")
    check(done.returncode == 0, f"zsre-extract: exit code {done.returncode}\n{done.stderr}")
    print(done.stderr, done.stdout, sep="\n")
    rows = [row for part in sorted(OUTPUT.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    check(bool(rows), f"no triples in {OUTPUT}")
    with CORPUS.open(encoding="utf-8") as lines:
        texts = {record["id"]: record["text"] for record in map(json.loads, lines)}
    for row in rows:
        check(spans_fit(row, texts[row["doc_id"]]), f"offsets that don't fit the text: {row}")


def spans_fit(row: dict[str, Any], text: str) -> bool:
    """Tell whether head, tail and sentence stand in the text where the row says."""
    spans = (("head", "head"), ("tail", "tail"), ("sentence", "sent"))
    return all(text[row[f"{span}_start"] : row[f"{span}_end"]] == row[column] for column, span in spans)


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the commands that were installed beside this Python."""
    path = Path(sys.executable).with_name(command)
    return subprocess.run([str(path), *arguments], capture_output=True, encoding="utf-8", check=False)


def check(right: bool, otherwise: str) -> None:
    """Stop with a message unless something is right."""
    if not right:
        sys.exit(f"error: {otherwise}")


if __name__ == "__main__":
    main()
