"""The ``zsre-train`` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from zsre.relations.errors import ConfigError, MissingExtraError, UsageError, ZsreError

if TYPE_CHECKING:  # these need torch, without which the command still says what to install
    import torch

    from zsre.trainer.config import TrainConfig
    from zsre.trainer.loop import Status

logger = logging.getLogger(__name__)
DEFAULT_CONFIG = Path("zsre-train.yaml")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(
        prog="zsre-train", description="Fit SDZRE on labelled sentences and write a run directory."
    )
    command.add_argument("config", nargs="?", type=Path, help="configuration file (default: zsre-train.yaml)")
    command.add_argument("-o", "--output", type=Path, help="run directory (default: runs/<name of the configuration>)")
    command.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    command.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="override a field, as in optim.epochs=2"
    )
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    command.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    command.add_argument("--quiet", action="store_true", help="no progress, only warnings")
    command.add_argument("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.WARNING if arguments.quiet else logging.INFO, format="%(message)s", stream=sys.stderr
    )
    for noisy in ("httpx", "sentence_transformers", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        train(arguments)
    except ZsreError as error:
        print(f"zsre-train: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("zsre-train: interrupted; go on with --resume RUN", file=sys.stderr)
        return 130
    return 0


def train(arguments: argparse.Namespace) -> None:
    """Set up, train, calibrate if the configuration says so, and say where the result is."""
    try:
        import torch

        from zsre.trainer.checkpoint import is_finished, start_run
        from zsre.trainer.folds import calibrate
        from zsre.trainer.loop import fit
        from zsre.trainer.setup import prepare
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'zsre[train]'") from error
    device = choose_device(arguments.device)
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise UsageError(f"--threads {arguments.threads}: give at least 1")
        torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    config, directory = choose_run(arguments)
    show = show_nothing if arguments.quiet else show_progress
    if not is_finished(directory):
        # Only a run that can start leaves a directory that must not be written over.
        setup = prepare(config, device)
        if not arguments.resume:
            start_run(directory, config)
        logger.info("%s: training", directory)
        fit(setup, directory, show)
    if config.calibration.data:
        calibrate(config, directory, device, show)
    if not arguments.quiet:
        print(f"{directory}: done; next: zsre-export model.onnx --run {directory}", file=sys.stderr)


def choose_run(arguments: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """Return the configuration and the directory of the run to start or to go on with."""
    from zsre.trainer.checkpoint import make_directory, read_run_config
    from zsre.trainer.config import read_config

    if arguments.resume:
        if arguments.config or arguments.set or arguments.output:
            raise UsageError("--resume goes on with the run's own configuration; leave the others out")
        return read_run_config(arguments.resume), arguments.resume
    path = arguments.config or DEFAULT_CONFIG
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give a configuration, such as configs/fewrel.yaml")
    config = read_config(path, tuple(arguments.set))
    directory = arguments.output or Path("runs") / config.name
    make_directory(directory)
    return config, directory


def choose_device(name: str) -> torch.device:
    """Return the device asked for; ``auto`` takes CUDA where there is one."""
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def show_progress(status: Status) -> None:
    """Keep one line up to date on a terminal, and log a line every hundred steps elsewhere."""
    parts = "  ".join(f"{name} {value:.4f}" for name, value in status.losses.items() if value)
    rate = f"{status.examples_per_second:.0f} examples/s"
    line = f"epoch {status.epoch + 1}  step {status.step}/{status.steps}  {parts}  {rate}"
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="\n" if status.step == status.steps else "", file=sys.stderr, flush=True)
    elif status.step % 100 == 0 or status.step == status.steps:
        logger.info(line)


def show_nothing(status: Status) -> None:
    """Stand in for `show_progress`."""


if __name__ == "__main__":
    sys.exit(main())
