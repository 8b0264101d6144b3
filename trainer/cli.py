"""The ``zsre-train`` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from zsre.relations.errors import ConfigError, MissingExtraError, UsageError, ZsreError

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
    """Set up, train, and say where the result is."""
    try:
        import torch

        from zsre.trainer.checkpoint import is_finished, read_run_config, start_run
        from zsre.trainer.config import read_config
        from zsre.trainer.folds import calibrate
        from zsre.trainer.loop import Status, fit
        from zsre.trainer.setup import prepare
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'zsre[train]'") from error
    device = choose_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    if arguments.resume:
        if arguments.config or arguments.set or arguments.output:
            raise UsageError("--resume goes on with the run's own configuration; leave the others out")
        directory = arguments.resume
        config = read_run_config(directory)
    else:
        path = arguments.config or DEFAULT_CONFIG
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; give a configuration, such as configs/fewrel.yaml")
        config = read_config(path, tuple(arguments.set))
        directory = arguments.output or Path("runs") / config.name
        start_run(directory, config)
    def show(status: Status) -> None:
        parts = "  ".join(f"{name} {value:.4f}" for name, value in status.losses.items() if value)
        rate = f"{status.examples_per_second:.0f} examples/s"
        line = f"epoch {status.epoch + 1}  step {status.step}/{status.steps}  {parts}  {rate}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="\n" if status.step == status.steps else "", file=sys.stderr, flush=True)
        elif status.step % 100 == 0 or status.step == status.steps:
            logging.getLogger(__name__).info(line)

    if not is_finished(directory):
        fit(prepare(config, directory, device), directory, show)
    if config.calibration.data:
        calibrate(config, directory, device, show)
    if not arguments.quiet:
        print(f"{directory}: done; next: zsre-export model.onnx --run {directory}", file=sys.stderr)


def choose_device(name: str) -> torch.device:  # type: ignore[name-defined]  # noqa: F821
    """Return the device asked for; ``auto`` takes CUDA where there is one."""
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


if __name__ == "__main__":
    sys.exit(main())
