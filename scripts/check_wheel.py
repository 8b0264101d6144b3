"""Build the wheel and try it as someone who has just installed it: alone, without torch, far from the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("relations", "trainer", "exporter", "runner")
#: What a wheel goes without unless it is listed in pyproject.toml.
DATA_FILES: Final = (
    "relations/catalogue.yaml",
    "relations/equivalents.yaml",
    "relations/relations.schema.json",
    "runner/model/model.onnx",
    "runner/model/model.relations.onnx",
    *(f"{package}/py.typed" for package in PACKAGES),
)


def main() -> None:
    """Build, look into the wheel, install it and run it; stop with a message at the first thing that is wrong."""
    with tempfile.TemporaryDirectory(prefix="zsre-wheel-") as folder:
        scratch = Path(folder)
        wheel = build_wheel(scratch / "dist")
        check_contents(wheel)
        try_wheel(wheel, scratch)
    print(f"{wheel.name}: complete, and works on its own")


def build_wheel(output: Path) -> Path:
    """Build the source distribution and, from that alone, the wheel; return its path."""
    run([sys.executable, "-m", "build", "--outdir", str(output), str(ROOT)], stdout=subprocess.DEVNULL)
    (wheel,) = output.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Check that the wheel holds every module and data file, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = (path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).glob("*.py"))
    wanted = {f"zsre/{name}" for name in (*sources, *DATA_FILES)}
    if missing := sorted(wanted - names):
        sys.exit(f"{wheel.name}: lacks {', '.join(missing)}: see [tool.setuptools] in pyproject.toml")
    expected = (*(f"zsre/{package}/" for package in PACKAGES), "zsre-")
    if foreign := sorted(name for name in names if not name.startswith(expected)):
        sys.exit(f"{wheel.name}: holds what should not be installed: {', '.join(foreign)}")


def try_wheel(wheel: Path, scratch: Path) -> None:
    """Install the wheel in a new environment, and run it in a directory that holds the examples and no sources."""
    environment, elsewhere = scratch / "venv", scratch / "elsewhere"
    run([sys.executable, "-m", "venv", str(environment)])
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(wheel)]
    run([str(python), *install])
    shutil.copytree(ROOT / "examples", elsewhere)
    run([str(python), "-I", str(ROOT / "scripts" / "try_install.py")], cwd=elsewhere)


def run(command: list[str], cwd: Path | None = None, stdout: int | None = None) -> None:
    """Run a command; stop with its exit code if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=stdout, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
