"""What a folder holds of an earlier run, and whether this run may go on with it, add to it, or begin anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any, Final

from zsre.relations.errors import DataError, OutputError
from zsre.relations.lock import LOCK_FILE
from zsre.runner.files import temporary_name
from zsre.runner.inputs import Kind, Segment, digest, ends_line
from zsre.runner.output import RECORDS, RUN_FILE, OutputDirectory, read_run
from zsre.runner.storage import LocalFolder, open_input, reading
from zsre.runner.store_names import readable, without_secrets

#: What ``run.json`` says that may differ when a run goes on.
_PASSING: Final = frozenset(
    {"status", "zsre", "started", "stopped", "resumed", "finished", "counts", "corpus", "relations_source", "input"}
)
_ELSEWHERE: Final = "give another directory with -o"
_BLOCK: Final = 2**22


class Wish(Enum):
    """What is to become of an earlier run in the folder."""

    GO_ON = "go on with it if it did not finish"
    APPEND = "--append"
    OVERWRITE = "--overwrite"


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run that the folder holds."""

    status: str
    facts: Mapping[str, Any]
    segments: tuple[Segment, ...]
    documents: int | None

    @property
    def finished(self) -> bool:
        """Tell whether it came to its end."""
        return self.status == "finished"


def earlier_run(output: OutputDirectory, wish: Wish) -> EarlierRun | None:
    """Return the run that is to be gone on with or added to, or ``None`` if this one begins anew; change nothing.

    Raises OutputError if the folder holds a finished run that isn't to be replaced, or anything that isn't ours. A run
    that has no shard, or ended without having read a document, has nothing to lose, and may be replaced unasked.
    """
    folder = output.folder
    try:
        if not folder.exists():
            return None
        if not folder.is_folder():
            raise OutputError(f"{folder}: is not a directory; give another one with -o")
        if isinstance(folder, LocalFolder) and (folder.path / RECORDS).is_symlink():
            raise OutputError(f"{folder.within(RECORDS)}: is a link, as no run makes it; {_ELSEWHERE}")
        if folder.is_empty(ignoring=(LOCK_FILE, RECORDS, temporary_name(RUN_FILE))) and not output.recorded():
            return None
        with reading(folder.within(RUN_FILE)):
            run = read_run(folder)
        if run is None:
            _check_replaceable(output, wish)
            return None
        nothing = _came_to_nothing(run, output)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}; {_ELSEWHERE}") from error
    finished = run["status"] == "finished"
    if wish is Wish.OVERWRITE or nothing:
        return None
    if finished and wish is not Wish.APPEND:
        raise OutputError(
            f"{folder}: holds a finished run; {_ELSEWHERE}, replace it with --overwrite, "
            "or take in what the input has gained with --append"
        )
    return EarlierRun(run["status"], run, _segments(str(folder), run), _documents(run))


def vectors_of_nothing(output: OutputDirectory) -> str | None:
    """Return where the run in the folder keeps vectors if it may be replaced unasked, as then these may be too."""
    try:
        run = read_run(output.folder)
        vectors = None if run is None or not _came_to_nothing(run, output) else run.get("vectors")
    except OSError:
        return None
    directory = vectors.get("directory") if isinstance(vectors, dict) else None
    return directory if isinstance(directory, str) else None


def _came_to_nothing(run: Mapping[str, Any], output: OutputDirectory) -> bool:
    return _documents(run) == 0 if run["status"] == "finished" else not output.recorded()


def _documents(run: Mapping[str, Any]) -> int | None:
    counts = run.get("counts")
    return counts.get("documents") if isinstance(counts, dict) else None


def check_same(name: str, earlier: EarlierRun, facts: Mapping[str, object]) -> None:
    """Raise OutputError if anything that can change a row is not as it was, saying what."""
    now = json.loads(json.dumps(facts))
    before = {key: value for key, value in earlier.facts.items() if key not in _PASSING}
    changes = list(_changes(before, {key: value for key, value in now.items() if key not in _PASSING}))
    if changes:
        raise OutputError(_refusal(name, changes))


def reconciled(name: str, earlier: EarlierRun, given: Sequence[Segment], append: bool) -> tuple[Segment, ...]:
    """Return the segments of a run that goes on: those it had and, with ``append``, what was added to its input since.

    Raises OutputError if the input is not what it was, saying how.
    """
    if any(segment.kind == Kind.STREAM for segment in (*earlier.segments, *given)):
        raise OutputError(
            f"{name}: holds a run that read a stream, or this one would, and what was read of one cannot be read "
            f"again to go on; start anew with --overwrite, or {_ELSEWHERE}"
        )
    before: dict[str, Segment] = {without_secrets(segment.name): segment for segment in earlier.segments}
    now = {without_secrets(segment.name): segment for segment in given}
    missing = [own for own in before if own not in now]
    changes = [f"input: {readable(own)} is not given any more" for own in missing]
    added: list[Segment] = []
    for own, segment in now.items():
        old, shown = before.get(own), readable(own)
        if old is None or segment.size != old.size:
            grown = segment if old is None else _growth(old, segment)
            if grown is not None and append:
                added.append(grown)
            elif grown is not None:
                what = "is new" if old is None else f"had {old.size:,} bytes and now has {segment.size:,}"
                changes.append(f"input: {shown} {what}" + ("" if missing else " (--append takes that in)"))
            else:
                changes.append(f"input: {shown} is no longer what it was")
        elif segment.digest != old.digest or segment.kind != old.kind:
            changes.append(f"input: {shown} is no longer what it was")
    if not append and not changes and list(before) != list(now):
        changes.append("input: the order of the files")
    if missing and len(now) > len(before) - len(missing):
        changes.append("input: names are other ones, perhaps because the command was given in another directory")
    if changes:
        raise OutputError(_refusal(name, changes))
    # Names that were written down hold no secrets, and may need some to be opened.
    kept = (replace(own, name=now[without_secrets(own.name)].name) for own in earlier.segments)
    return (*kept, *added)


def segment_facts(segments: Sequence[Segment]) -> list[dict[str, object]]:
    """Return segments as they stand in ``run.json``."""
    return [{**asdict(segment), "name": without_secrets(segment.name)} for segment in segments]


def _segments(name: str, run: Mapping[str, Any]) -> tuple[Segment, ...]:
    try:
        segments = tuple(Segment(**{**fields, "kind": Kind(fields["kind"])}) for fields in run["input"])
        if not all(type(number) is int and number >= 0 for own in segments for number in (own.start, own.first_line)):
            raise ValueError("a number isn't one")
        if not all(isinstance(own.name, str) and isinstance(own.id_prefix, str) for own in segments):
            raise TypeError("a text isn't one")
        return segments
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{name}: holds a run that this version of zsre cannot go on with; start anew with --overwrite"
        ) from error


def _growth(old: Segment, new: Segment) -> Segment | None:
    """Return what was added at the end of a file, or ``None`` if that isn't what happened to it."""
    if old.kind != Kind.PLAIN or new.kind != Kind.PLAIN or old.size is None or new.size is None or new.size < old.size:
        return None
    if digest(new.name, old.size) != old.digest:
        return None
    if not ends_line(new.name, old.size):
        raise DataError(
            f"{readable(new.name)}: its last line had no end when it was read, so what was added may continue it; "
            "start anew with --overwrite"
        )
    first_line = old.first_line + _line_ends(new.name, old.start, old.size)
    return replace(new, start=old.size, first_line=first_line, id_prefix=old.id_prefix)


def _line_ends(name: str, start: int, end: int) -> int:
    count = 0
    with open_input(name) as file:
        file.seek(start)
        while start < end and (block := file.read(min(_BLOCK, end - start))):
            start += len(block)
            count += block.count(b"\n")
    return count


def _changes(before: Any, now: Any, name: str = "") -> list[str]:
    """Return what differs, by its full name, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in dict.fromkeys((*before, *now)):
            found += _changes(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if before == now else [f"{name}: was {json.dumps(before)} and is now {json.dumps(now)}"]


def _refusal(name: str, changes: Sequence[str]) -> str:
    return (
        f"{name}: holds a run that cannot go on as it began: {'; '.join(changes)}. "
        f"Put that back, start anew with --overwrite, or {_ELSEWHERE}"
    )


def _check_replaceable(output: OutputDirectory, wish: Wish) -> None:
    if not output.is_ours_alone():
        raise OutputError(f"{output.name}: holds files but no run of zsre; give an empty or new directory with -o")
    if wish is not Wish.OVERWRITE:
        raise OutputError(
            f"{output.name}: its run.json is missing or damaged, so that nothing can say what the parts beside it are; "
            f"{_ELSEWHERE}, or replace them with --overwrite"
        )
