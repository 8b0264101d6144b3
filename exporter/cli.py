"""The ``zsre-export`` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zsre.relations.command_line import CommandParser
from zsre.relations.errors import MissingExtraError, ModelError, UsageError, ZsreError
from zsre.relations.interrupts import INTERRUPTED, interrupts_deferred, sigterm_interrupts
from zsre.relations.terminal import PlainFormatter, printable_lines

if TYPE_CHECKING:
    from zsre.exporter.files import Exported

logger = logging.getLogger(__name__)
PROGRAM: Final = "zsre-export"
RUNS: Final = Path("runs")
#: What stands for the model that comes with zsre, where a file is asked for.
SHIPPED: Final = "shipped"
#: Spelt out, since those of the exporter come with onnx, which may be missing.
PRECISIONS: Final = ("fp32", "fp16", "int8", "cuda-fp16", "dynamic-int8")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    about = "Turn a run directory, or another exported model, into model.onnx and model.relations.onnx."
    command = CommandParser(prog=PROGRAM, description=about)
    command.add_argument("output", type=Path, help="model file to write, ending in .onnx")
    source = command.add_mutually_exclusive_group()
    source.add_argument("--run", type=Path, help="run directory (default: the newest finished one under runs/)")
    source.add_argument(
        "--from", dest="source", metavar="MODEL", type=Path,
        help=f"exported model.onnx to make another precision of, or '{SHIPPED}' for the one that comes with zsre",
    )  # fmt: skip
    command.add_argument(
        "--precision", choices=PRECISIONS, default="fp16",
        help="fp32, fp16, int8: how weights are stored, computing in 32 bits; cuda-fp16: computing in fp16 on a GPU; "
        "dynamic-int8: computing in 8 bits on a CPU, where a score then depends on its batch (default: fp16)",
    )  # fmt: skip
    command.add_argument("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/training.md for what each code means."""
    arguments = parser().parse_args(argv)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        export(arguments)
    except ZsreError as error:
        print(printable_lines(f"{PROGRAM}: error: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted before the export was complete; run it again", file=sys.stderr)
        return INTERRUPTED
    return 0


def export(arguments: argparse.Namespace) -> None:
    """Export the run or the model that is asked for, or the newest run, and print what came of it."""
    if arguments.output.suffix != ".onnx":
        raise UsageError(f"{arguments.output}: a model file's name ends in .onnx")
    exported, of = converted(arguments) if arguments.source else exported_run(arguments)
    for path, size in zip((exported.model, exported.relations), exported.bytes, strict=True):
        print(f"{path}: {size / 1e6:.1f} MB")
    parity = exported.parity
    print(
        f"largest difference from {of} over {parity.sentences} sentences: mention vectors "
        f"{parity.mentions:.1e}, context vectors {parity.contexts:.1e}, relation vectors {parity.relations:.1e}"
    )


def exported_run(arguments: argparse.Namespace) -> tuple[Exported, str]:
    """Export a run; return what came of it, and what it was compared with."""
    try:
        with interrupts_deferred():
            from zsre.exporter.export import export_run
            from zsre.trainer.checkpoint import read_run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"exporting a run needs {error.name}: pip install 'zsre[train]'") from error
    run = arguments.run or newest_run(RUNS)
    read_run(run)  # so that only a run is named
    print(f"exporting {run}", file=sys.stderr)
    # At the usual end of a process by SIGTERM, a folder of halves would stay behind.
    with sigterm_interrupts():
        return export_run(run, arguments.output, arguments.precision), "the torch model"


def converted(arguments: argparse.Namespace) -> tuple[Exported, str]:
    """Make another precision of a model; return what came of it, and what it was compared with."""
    try:
        with interrupts_deferred():
            from zsre.exporter.convert import convert_model
            from zsre.runner.engine import shipped_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"converting a model needs {error.name}: pip install 'zsre[convert]'") from error
    source = shipped_model() if str(arguments.source) == SHIPPED else arguments.source
    print(f"converting {source}", file=sys.stderr)
    with sigterm_interrupts():
        return convert_model(source, arguments.output, arguments.precision), str(arguments.source)


def newest_run(root: Path) -> Path:
    """Return the finished run directory under ``root`` whose model is newest; raise ModelError if there is none.

    One that is damaged, or was copied in part, is passed over, and that is said.
    """
    from zsre.trainer.checkpoint import is_finished, is_started
    from zsre.trainer.trained_run import check_whole

    found = sorted(root.glob("*/model.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
    for run in (path.parent for path in found):
        try:
            if is_started(run) and is_finished(run):
                check_whole(run)
                return run
        except ZsreError as error:
            logger.warning("passed over: %s", error)
    raise ModelError(f"no finished run under {root}/: give one with --run, or train one with zsre-train")


if __name__ == "__main__":
    sys.exit(main())
