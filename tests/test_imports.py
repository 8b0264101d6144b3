"""Who imports whom: the arrows between the four packages, and what may come from outside."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARROWS = {
    "relations": set(),
    "trainer": {"relations"},
    "exporter": {"relations", "trainer", "runner"},
    "runner": {"relations"},
}
TRAINING = {"torch", "transformers", "sentence_transformers"}
BANNED = {"relations": TRAINING | {"spacy", "onnxruntime"}, "runner": TRAINING}
#: The extra that a package may count on, beyond what a plain install brings.
EXTRAS = {"trainer": "train", "exporter": "train"}

# Runs a command's main in a Python of its own, and prints which of some modules it loaded.
LOADED = f"""
import json, sys
from zsre.runner.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({TRAINING!r} & sys.modules.keys())]))
"""


def imported(source: str) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, wherever in it; relative ones begin with a dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def imports_of(package: str) -> Iterator[tuple[str, str]]:
    """Yield each module of a package with each name that it imports."""
    modules = sorted((ROOT / package).glob("*.py"))
    assert modules
    for path in modules:
        for name in imported(path.read_text("utf-8")):
            yield f"{package}/{path.name}", name


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import torch.nn as nn\nfrom zsre import runner\ndef f():\n    if 1:\n        from . import x\n"
    assert list(imported(source)) == ["torch.nn", "zsre.runner", "..x"]


@pytest.mark.parametrize("package", ARROWS)
def test_packages_import_each_other_along_the_arrows_only(package: str) -> None:
    allowed = {package, *ARROWS[package]}
    wrong = []
    for module, name in imports_of(package):
        first, _, rest = name.partition(".")
        by_plain_name = first in ARROWS or not first
        if by_plain_name or (first == "zsre" and rest.partition(".")[0] not in allowed):
            wrong.append(f"{module} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("package", BANNED)
def test_extraction_imports_nothing_that_training_needs(package: str) -> None:
    wrong = [f"{module} imports {name}" for module, name in imports_of(package) if _top(name) in BANNED[package]]
    assert wrong == []


@pytest.mark.parametrize("package", ARROWS)
def test_whatever_is_imported_comes_with_the_install(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = EXTRAS.get(package)
    requirements = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    declared = {_normalised(requirement) for requirement in requirements}
    provided_by = packages_distributions()
    wrong = []
    for module, name in imports_of(package):
        top = _top(name)
        if top == "zsre" or top in sys.stdlib_module_names:
            continue
        if declared.isdisjoint(_normalised(distribution) for distribution in provided_by.get(top, ())):
            wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_asking_for_the_version_loads_no_torch(tmp_path: Path) -> None:
    assert _run_and_look(tmp_path, "--version") == [0, []]


def test_extraction_loads_no_torch_where_it_is_installed(tmp_path: Path) -> None:
    corpus, relations = ROOT / "examples" / "corpus.jsonl", ROOT / "examples" / "relations.yaml"
    assert _run_and_look(tmp_path, str(corpus), "--relations", str(relations), "--quiet") == [0, []]
    assert list((tmp_path / "corpus.triples").glob("part-*.parquet"))


def _run_and_look(place: Path, *arguments: str) -> object:
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, cwd=place, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _top(name: str) -> str:
    return name.partition(".")[0]


def _normalised(requirement: str) -> str:
    """Return the name of a distribution or of a requirement, as the package index compares names."""
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()
