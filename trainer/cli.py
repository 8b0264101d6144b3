"""The ``zsre-train`` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zsre.relations.command_line import CommandParser
from zsre.relations.errors import ConfigError, MissingExtraError, UsageError, ZsreError
from zsre.relations.interrupts import INTERRUPTED, interrupts_deferred, sigterm_interrupts
from zsre.relations.places import looked_at
from zsre.relations.terminal import PlainFormatter, printable_lines

if TYPE_CHECKING:  # these need torch, without which the command still says what to install
    import torch

    from zsre.trainer.config import TrainConfig
    from zsre.trainer.loop import Status
    from zsre.trainer.setup import Setup

logger = logging.getLogger(__name__)
PROGRAM: Final = "zsre-train"
DEFAULT_CONFIG: Final = Path("zsre-train.yaml")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = CommandParser(prog=PROGRAM, description="Fit SDZRE on labelled sentences and write a run directory.")
    command.add_argument(
        "config", nargs="*", type=Path, metavar="CONFIG",
        help="configuration files, of which later ones override earlier ones (default: zsre-train.yaml)",
    )  # fmt: skip
    command.add_argument("-o", "--output", type=Path, help="run directory (default: runs/<name of the configuration>)")
    command.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    command.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="override a field, as in optim.epochs=2"
    )
    command.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="what to train on (default: auto, CUDA where there is any)",
    )  # fmt: skip
    command.add_argument("--threads", type=int, help="CPU threads of each process (default: all cores, shared out)")
    command.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="models trained at a time, where calibration takes those of folds too (default: 1)",
    )  # fmt: skip
    command.add_argument("--quiet", action="store_true", help="no progress, only warnings")
    command.add_argument("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/training.md for what each code means."""
    # Intermixed, so that a second file may follow a flag.
    arguments = parser().parse_intermixed_args(argv)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, handlers=[handler])
    for noisy in ("httpx", "sentence_transformers", "torch", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        train(arguments)
    except ZsreError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as stop:
        say(f"interrupted; {str(stop) or 'nothing was written'}")
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Print a last line, in place of the progress that a terminal may show."""
    start = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{start}{PROGRAM}: {printable_lines(text)}", file=sys.stderr)


def train(arguments: argparse.Namespace) -> None:
    """Set up, train, calibrate if the configuration says so, and say where the result is."""
    check_arguments(arguments)
    try:
        with interrupts_deferred():
            import torch

            from zsre.trainer.beginning import held
            from zsre.trainer.checkpoint import is_started, read_run
            from zsre.trainer.fold_processes import folds_beside
            from zsre.trainer.folds import calibrate, lacks_calibration
            from zsre.trainer.loop import fit
            from zsre.trainer.setup import choose_device
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'zsre[train]'") from error
    device = choose_device(arguments.device)
    cores, threads = torch.get_num_threads(), arguments.threads
    if threads is None and arguments.processes > 1:
        threads = max(1, cores // arguments.processes)
    if threads is not None:
        torch.set_num_threads(threads)
    config, directory = choose_run(arguments)
    show = show_nothing if arguments.quiet else show_progress
    try:
        # At the usual end of a process by SIGTERM, a folder without a run would stay behind, and folds would train on.
        with sigterm_interrupts(), held(directory, new=not arguments.resume):
            setup = resume(config, directory, device) if arguments.resume else begin(config, directory, device)
            flags = ["--device", str(device)] + ([] if threads is None else ["--threads", str(threads)])
            calibrates = lacks_calibration(config, directory)
            beside = calibrates and arguments.processes > 1
            seen = setup.pairs.relations if setup is not None else read_run(directory)[1].seen_relations
            with folds_beside(config, directory, seen, arguments.processes, flags) if beside else nullcontext():
                if setup is not None:
                    logger.info("%s: training", directory)
                    fit(setup, directory, show)
            if calibrates:
                # Nothing runs beside it any more.
                torch.set_num_threads(arguments.threads or cores)
                calibrate(config, directory, device, show)
    except KeyboardInterrupt as stop:
        if not is_started(directory):
            raise
        raise KeyboardInterrupt(f"go on with --resume {directory}") from stop
    if not arguments.quiet:
        print(f"{directory}: done; next: zsre-export model.onnx --run {directory}", file=sys.stderr)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise for what cannot be meant, before the seconds that loading torch takes."""
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads {arguments.threads}: give at least 1")
    if arguments.processes < 1:
        raise UsageError(f"--processes {arguments.processes}: give at least 1")
    if arguments.resume:
        if arguments.config or arguments.set or arguments.output:
            raise UsageError("--resume goes on with the run's own configuration; leave the others out")
        return
    for path in arguments.config or [DEFAULT_CONFIG]:
        with looked_at(path, ConfigError):
            is_folder, is_there = path.is_dir(), path.exists()
        if is_folder:
            raise ConfigError(f"{path}: is a folder; give a configuration in it, or --resume {path} if it is a run")
        if not is_there:
            problem = f"{path}: no such file" if arguments.config else f"there is no {path} here"
            raise ConfigError(
                f"{problem}; give a configuration, as in {PROGRAM} configs/profiles/cpu.yaml (see docs/training.md)"
            )


def choose_run(arguments: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """Return the configuration and the directory of the run to start or to go on with."""
    from zsre.trainer.checkpoint import read_run_config
    from zsre.trainer.config import read_configs

    if arguments.resume:
        return read_run_config(arguments.resume), arguments.resume
    config = read_configs(arguments.config or [DEFAULT_CONFIG], arguments.set)
    return config, arguments.output or Path("runs") / config.name


def resume(config: TrainConfig, directory: Path, device: torch.device) -> Setup | None:
    """Return what it takes to go on with a run, or None if it was trained to its end."""
    from zsre.trainer.beginning import check_calibration_reading
    from zsre.trainer.checkpoint import drop_checkpoint, is_finished, read_run
    from zsre.trainer.folds import lacks_calibration, read_calibration_data
    from zsre.trainer.setup import prepare

    setup = None
    if is_finished(directory):
        drop_checkpoint(directory)
    else:
        setup = prepare(config, device)
    if lacks_calibration(config, directory):
        # Told now and not after what is trained first.
        seen = setup.pairs.relations if setup is not None else read_run(directory)[1].seen_relations
        check_calibration_reading(directory, read_calibration_data(config, seen)[1])
    return setup


def begin(config: TrainConfig, directory: Path, device: torch.device) -> Setup:
    """Begin a run in its empty directory and return what it takes to train."""
    from zsre.trainer.beginning import start_run
    from zsre.trainer.folds import dealt_folds, read_calibration_data
    from zsre.trainer.setup import prepare

    setup = prepare(config, device)
    calibration = None
    if config.calibration.data:
        # Told now and not after the training that comes before the folds.
        dealt_folds(config, setup.pairs.relations)
        calibration = read_calibration_data(config, setup.pairs.relations)[1]
    start_run(directory, config, setup.reading, calibration)
    return setup


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
