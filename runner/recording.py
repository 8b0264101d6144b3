"""A run as it is written down: what it goes on from, each shard as it is done, and how it ended."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from zsre.relations.errors import OutputError, ZsreError
from zsre.relations.lock import FolderLock
from zsre.runner.corpus import Place
from zsre.runner.counts import Counts, counted
from zsre.runner.inputs import Segment
from zsre.runner.output import OutputDirectory
from zsre.runner.run_state import EarlierRun, Wish, check_same, earlier_run, reconciled, segment_facts
from zsre.runner.shard_triples import ShardResult
from zsre.runner.storage import LocalFolder

logger = logging.getLogger(__name__)


@dataclass
class Run:
    """A run that is under way.

    ``done`` holds the places of the shards that are done, by number; ``counts`` adds all of them up, and ``fresh``
    those that were done since this process began.
    """

    output: OutputDirectory
    segments: tuple[Segment, ...] = ()
    done: dict[int, Place] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    fresh: Counts = field(default_factory=Counts)

    def commit(self, result: ShardResult, place: Place) -> None:
        """Write down a shard."""
        self.output.commit(result, place)
        self.note(result.index, place, result.counts)

    def note(self, index: int, place: Place, counts: Counts) -> None:
        """Take note of a shard that has been written down."""
        self.done[index] = place
        self.counts.add(counts)
        self.fresh.add(counts)

    @property
    def bytes_done(self) -> int:
        """Return how much of the input is done."""
        return sum(place.end - place.start for place in self.done.values())


@contextmanager
def recorded(
    output: OutputDirectory,
    segments: Sequence[Segment],
    wish: Wish,
    facts: Mapping[str, object],
    has_all: Callable[[int], bool] = lambda index: True,
) -> Iterator[Run]:
    """Begin a run, or go on with one, and keep ``run.json`` true to what happens.

    ``facts`` are everything that can change a row: a run is only gone on with if they are the same. ``has_all`` tells
    whether whatever else a shard comes to is there. Raises OutputError if the folder isn't for this run.
    """
    with ExitStack() as held:
        _take(output, held)
        run, started = _begun(output, segments, wish, facts, has_all)
        told = {**facts, "input": segment_facts(run.segments), "zsre": importlib.metadata.version("zsre"), **started}
        output.write_begun({"status": "running", **told})
        try:
            yield run
            output.write_rejects(run.done)
        except BaseException as error:
            with suppress(ZsreError):
                output.write_rejects(run.done)
                output.write_run({"status": "stopped", **told, "stopped": _now(), "counts": run.counts.to_dict()})
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(_how_far(run)) from error
            raise
        output.write_run({"status": "finished", **told, "finished": _now(), "counts": run.counts.to_dict()})


def _take(output: OutputDirectory, held: ExitStack) -> None:
    """Make sure that no other run writes to the folder, where that can be known: stores have no locks."""
    if not isinstance(output.folder, LocalFolder):
        return
    try:
        output.folder.make()
    except OSError as error:
        raise OutputError(
            f"{output.name}: cannot be written to: {error.strerror}; give another directory with -o"
        ) from error
    held.enter_context(closing(FolderLock(output.folder.path)))


def _begun(
    output: OutputDirectory,
    segments: Sequence[Segment],
    wish: Wish,
    facts: Mapping[str, object],
    has_all: Callable[[int], bool],
) -> tuple[Run, dict[str, object]]:
    earlier = earlier_run(output, wish)
    if earlier is not None:
        try:
            all_segments = reconciled(output.name, earlier, segments, append=wish is Wish.APPEND)
            check_same(output.name, earlier, facts)
        except OutputError:
            if earlier.documents != 0:
                raise
            earlier = None
    if earlier is None:
        output.begin()
        return Run(output, tuple(segments)), {"started": _now()}
    return _resumed(output, earlier, all_segments, has_all), {
        "started": earlier.facts.get("started"),
        "resumed": _now(),
    }


def _resumed(
    output: OutputDirectory, earlier: EarlierRun, segments: tuple[Segment, ...], has_all: Callable[[int], bool]
) -> Run:
    run = Run(output, segments)
    for record in output.done():
        if has_all(record.index):
            run.done[record.index] = record.place
            run.counts.add(record.counts)
    # Only once everything has been read: what can't be read at this moment may well be done.
    output.remove_leftovers()
    output.keep_only(run.done)
    output.parts = len(run.done)
    logger.info("%s: going on after %s (%s)", output.name, *_progress(run))
    return run


def _how_far(run: Run) -> str:
    parts, what = _progress(run)
    return f"after {parts} ({what}), kept in {run.output.name}; the same command goes on, --overwrite starts anew"


def _progress(run: Run) -> tuple[str, str]:
    lines, triples = counted(run.counts.lines, "line"), counted(run.counts.triples, "triple")
    return counted(len(run.done), "part"), f"{lines}, {triples}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
