"""What a command line asks for, checked as far as that goes without loading anything."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from zsre.relations.errors import OutputError, UsageError
from zsre.relations.lock import is_locked
from zsre.relations.places import is_same
from zsre.runner.corpus import CutSettings
from zsre.runner.flags import STANDARD_INPUT, check_flags, check_least
from zsre.runner.inputs import Kind, Segment, find_segments
from zsre.runner.kept import check_kept_target
from zsre.runner.kept_tables import PRECISIONS
from zsre.runner.output import OutputDirectory, default_output
from zsre.runner.parquet_input import check_columns
from zsre.runner.records import RecordSettings
from zsre.runner.run_state import Wish, earlier_run, vectors_of_nothing
from zsre.runner.storage import LocalFolder, open_folder
from zsre.runner.store_names import is_storable, is_uri, readable
from zsre.runner.triples import check_kept


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, where it goes, and how."""

    corpus: str
    segments: tuple[Segment, ...]
    output: OutputDirectory
    wish: Wish
    cut: CutSettings
    records: RecordSettings
    kept: Path | None

    @property
    def settings(self) -> dict[str, object]:
        """Return what of the plan can change a row, or where shards end."""
        records = asdict(self.records)
        del records["stop_at_reject"]
        return {**records, **asdict(self.cut)}

    @property
    def size(self) -> int | None:
        """Return the bytes to read, or ``None`` where that isn't known beforehand."""
        if any(segment.kind not in (Kind.PLAIN, Kind.PARQUET) for segment in self.segments):
            return None
        return sum((segment.size or 0) - segment.start for segment in self.segments)


def make_plan(args: argparse.Namespace) -> Plan:
    """Check what was asked for; raise ZsreError for what can't be meant or can't be read."""
    check_common(args)
    keep = tuple(name.strip() for name in args.keep.split(",")) if args.keep else ()
    check_kept(keep)
    records = RecordSettings(args.text_field, args.id_field, keep, args.max_text_chars, args.on_error == "fail")
    cut = CutSettings(args.shard_lines, args.max_line_bytes, args.limit)
    outputs = [args.output or default_output(args.corpus[0]), *([str(args.save_pairs)] if args.save_pairs else [])]
    segments = find_segments(args.corpus, outputs)
    for segment in segments:
        if segment.kind == Kind.PARQUET:
            check_columns(segment.name, records.text_field)
    if any(segment.kind == Kind.STREAM for segment in segments):
        if args.dry_run:
            raise UsageError("--dry-run: reads here and there, which a stream does not allow; give it a file")
        if args.engine == "ray":
            raise UsageError("--engine ray: workers open the input for themselves, so it cannot be a stream")
    if args.append and cut.limit is not None:
        raise UsageError("--append: takes in all that is new, so it cannot go together with --limit")
    wish = wanted(args)
    output = open_output(args)
    plan = Plan(corpus_name(args.corpus), segments, output, wish, cut, records, args.save_pairs)
    _check_saving(args, plan)
    return plan


def check_common(args: argparse.Namespace) -> None:
    """Raise UsageError for a flag that can't be meant, whatever is read."""
    for name, value in vars(args).items():
        if isinstance(value, str | Path) and not is_storable(str(value)):
            shown = readable(str(value))
            raise UsageError(f"--{name.replace('_', '-')} {shown}: is not UTF-8, and could not be written down")
    check_flags(args)
    check_least(args, processes=1, show=0, ray_workers=1)
    if args.engine != "ray" and (args.ray_address or args.ray_workers):
        raise UsageError("--ray-address and --ray-workers: are for --engine ray, which isn't given")
    if not 0 <= args.max_reject_rate <= 1:
        raise UsageError(f"--max-reject-rate {args.max_reject_rate}: must lie between 0 and 1")
    if args.append and args.overwrite:
        raise UsageError("--append and --overwrite: one keeps the earlier run, the other doesn't; give one of them")


def wanted(args: argparse.Namespace) -> Wish:
    """Return what is to become of an earlier run."""
    if args.overwrite:
        return Wish.OVERWRITE
    return Wish.APPEND if args.append else Wish.GO_ON


def open_output(args: argparse.Namespace) -> OutputDirectory:
    """Return where triples go; raise OutputError if it is plain from the start that they may not.

    For an estimate it doesn't matter what is there, as nothing is written.
    """
    if args.output == "":
        raise UsageError("-o: the directory has no name; leave -o out, or name one")
    if args.output is None and is_uri(args.corpus[0]) and not args.dry_run:
        raise UsageError("-o is missing: name where the triples go, a directory or a place in a store")
    output = OutputDirectory(open_folder(args.output or default_output(args.corpus[0])))
    if args.dry_run:
        return output
    if isinstance(output.folder, LocalFolder) and is_locked(output.folder.path):
        raise OutputError(f"{output.name}: another run is writing to it; wait for it, or give another with -o")
    earlier_run(output, wanted(args))
    return output


def may_replace_vectors(args: argparse.Namespace, plan: Plan) -> bool:
    """Tell whether vectors that lie where this run keeps its own may go: it was asked for, or their run has nothing."""
    return bool(args.overwrite) or vectors_of_nothing(plan.output) == str(plan.kept)


def corpus_name(given: Sequence[str]) -> str:
    """Return what inputs are called together."""
    if list(given) == [STANDARD_INPUT]:
        return "standard input"
    first = readable(given[0])
    return first if len(given) == 1 else f"{first} and {len(given) - 1} more"


def _check_saving(args: argparse.Namespace, plan: Plan) -> None:
    if plan.kept is None:
        if args.save_fitting or args.save_precision != PRECISIONS[0]:
            raise UsageError(
                "--save-fitting and --save-precision say how vectors are kept: name a directory, --save-pairs"
            )
        return
    if is_uri(str(args.save_pairs)) or ":/" in str(args.save_pairs):
        # As a path, it has lost one of its slashes.
        shown = readable(re.sub(":/+", "://", plan.kept.as_posix(), count=1))
        raise UsageError(f"--save-pairs {shown}: vectors are kept in a directory of this machine, or one mounted")
    folder = plan.output.folder
    if isinstance(folder, LocalFolder) and is_same(plan.kept, folder.path):
        raise UsageError(f"--save-pairs {plan.kept}: is where the triples go; name another directory")
    if args.dry_run:
        return
    going_on = earlier_run(plan.output, plan.wish) is not None
    check_kept_target(plan.kept, may_replace_vectors(args, plan) or going_on)
