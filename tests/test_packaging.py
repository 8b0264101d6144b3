"""What an install brings along: versions, data files, commands, and the model."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("relations", "trainer", "exporter", "runner")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
MODEL_FILES = ("model.onnx", "model.relations.onnx")
MODEL_BYTES = 60_000_000


def _pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    pins = {canonicalize_name(name): Version(version) for name, version in pairs}
    assert len(pins) == len(pairs), "a package is pinned twice"
    return pins


def test_every_dependency_is_pinned_within_its_range() -> None:
    extras = PROJECT["optional-dependencies"].values()
    requirements = map(Requirement, [*PROJECT["dependencies"], *(line for extra in extras for line in extra)])
    pins = _pins()
    wrong = [
        str(requirement)
        for requirement in requirements
        if requirement.name != "zsre"
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), Version("0")))
    ]
    assert wrong == []


def test_pins_hold_on_every_platform() -> None:
    # A local version, as in 2.13.0+cpu, is one that the package index doesn't have.
    assert [name for name, version in _pins().items() if version.local] == []


def test_both_onnxruntime_packages_are_pinned_to_one_version() -> None:
    pins = _pins()
    assert pins["onnxruntime"] == pins["onnxruntime-gpu"]


def test_the_same_four_packages_are_named_everywhere() -> None:
    names = {f"zsre.{package}" for package in PACKAGES}
    # What measures, and scripts, are checked, and not installed.
    others = {"experiments", "benchmarks", "measuring", "trials", "scripts"}
    checked = set(PYPROJECT["tool"]["mypy"]["packages"]) - others
    assert set(SETUPTOOLS["packages"]) == names == checked
    assert SETUPTOOLS["package-dir"] == {f"zsre.{package}": package for package in PACKAGES}
    links = {path.name: path.resolve() for path in (ROOT / "typings" / "zsre").iterdir()}
    assert links == {package: ROOT / package for package in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_forgotten_by_the_wheel(package: str) -> None:
    folder = ROOT / package
    patterns = SETUPTOOLS["package-data"][f"zsre.{package}"]
    listed = {path for pattern in ("*.py", *patterns) for path in folder.glob(pattern)}
    there = {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert there - listed == set()
    assert folder / "py.typed" in listed


def test_commands_and_entry_points_lead_to_functions() -> None:
    targets = [*PROJECT["scripts"].values()]
    targets += [target for group in PROJECT["entry-points"].values() for target in group.values()]
    for target in targets:
        module, _, function = target.partition(":")
        path = ROOT.joinpath(*module.removeprefix("zsre.").split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, target


def test_the_model_that_ships_stays_small() -> None:
    files = [ROOT / "runner" / "model" / name for name in MODEL_FILES]
    assert sum(path.stat().st_size for path in files) < MODEL_BYTES
