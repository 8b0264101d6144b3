"""The file of judged triples: labelled sentences in zsre's own format, saved with every answer.

Whatever such a file held stays in it, byte for byte, and what is judged now comes after that.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from zsre.relations.errors import DataError, OutputError, UsageError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.private_files import make_private
from zsre.relations.reader_own import labelled_line, read_own
from zsre.relations.readers import find_format
from zsre.runner.files import replace_file, temporary_path, write_all
from zsre.runner.storage import Folder, LocalFolder
from zsre.runner.store_names import is_uri, readable, without_scheme
from zsre.runner.triples import Triple

#: What labelled sentences say that they come from.
SOURCE: Final = "judged"
_OWN_FORMAT: Final = "zsre"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ANOTHER: Final = "give another file with -o"


def judged_id(triple: Triple) -> str:
    """Return what a triple is called among labelled sentences: its document, and 16 hex digits that name it alone.

    Documents may share an id, so the sentence counts too. The score does not: the triple of a later run with other
    thresholds is the same.
    """
    head, tail = mentions_of(triple)
    ends = (head.start, head.end, tail.start, tail.end)
    place = [triple.doc_id, triple.sent_start, triple.sentence, triple.relation_id, *ends]
    return f"{triple.doc_id}#{hashlib.sha256(json.dumps(place).encode()).hexdigest()[:16]}"


def mentions_of(triple: Triple) -> tuple[Mention, Mention]:
    """Return head and tail; their offsets count from the start of the sentence."""
    begin = triple.sent_start
    return (
        Mention(triple.head_start - begin, triple.head_end - begin, triple.head_type),
        Mention(triple.tail_start - begin, triple.tail_end - begin, triple.tail_type),
    )


def labelled(triple: Triple, right: bool) -> LabelledSentence:
    """Return a triple's sentence, labelled for its pair and its relation, and for nothing else."""
    relation = frozenset({triple.relation_id})
    pair = LabelledPair(0, 1, relation if right else frozenset(), looked_for=relation)
    return LabelledSentence(judged_id(triple), SOURCE, triple.sentence, mentions_of(triple), (pair,))


class JudgedFile:
    """Labelled sentences on the disk; made by `open_judged`. Where ``path`` is a link, what it leads to is written."""

    def __init__(self, path: Path, held: bytes, earlier: Mapping[str, bool]) -> None:
        self.path = path
        self._target = _target(path)
        self._held, self._earlier = held, earlier
        self._verdicts: dict[str, bool] = {}
        self._lines: dict[str, bytes] = {}
        self._known = held

    @property
    def verdicts(self) -> dict[str, bool]:
        """Return, for the id of each sentence in the file, whether it states a relation."""
        return {**self._earlier, **self._verdicts}

    def add(self, triple: Triple, right: bool) -> None:
        """Save a verdict; raise OutputError if that can't be done, and then the file is as it was."""
        own = judged_id(triple)
        self._save({**self._lines, own: labelled_line(labelled(triple, right)).encode()})
        self._verdicts[own] = right

    def take_back(self, triple: Triple) -> None:
        """Remove a verdict of this session, if there is one; raises as `add` does."""
        own = judged_id(triple)
        if own in self._lines:
            self._save({name: line for name, line in self._lines.items() if name != own})
            del self._verdicts[own]

    def _save(self, lines: dict[str, bytes]) -> None:
        end = b"\n" if self._held and not self._held.endswith(b"\n") else b""
        content = b"".join([self._held, end, *lines.values()])
        try:
            there = self._target.exists()
            if (self._target.read_bytes() if there else b"") != self._known:
                raise OutputError(
                    f"{self.path}: something else has written to it meanwhile, so the last answer was not saved: the "
                    "same command goes on"
                )
            mode = stat.S_IMODE(self._target.stat().st_mode) if there else None
            replace_file(self._target, lambda file: write_all(file, content), mode)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror or error}; every answer before the last one is "
                "saved: mend that, then the same command goes on"
            ) from error
        self._lines, self._known = lines, content


def open_judged(name: str, run: Folder) -> JudgedFile:
    """Open a file to add verdicts to, which need not be there yet; nothing is written.

    Raises OutputError where no such file can be written, or where it would lie in the folder of the ``run`` that is
    judged, DataError for one that holds something else.
    """
    local = without_scheme(name)
    if is_uri(local):
        raise UsageError(
            f"-o {readable(name)}: judged triples are saved one by one, on this machine: give a file of it"
        )
    path = Path(local)
    _check_place(path)
    if isinstance(run, LocalFolder) and _target(path).is_relative_to(_target(run.path)):
        raise OutputError(f"{path}: lies in the folder of the run, which is zsre-extract's own; {_ANOTHER}")
    try:
        held = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; {_ANOTHER}") from error
    if not held.strip():
        return JudgedFile(path, held, {})
    if held.startswith(_GZIP_MAGIC):
        raise DataError(f"{path}: is compressed, so nothing can be added to it: unpack it, or {_ANOTHER}")
    try:
        found = find_format(path)
    except DataError as error:
        raise DataError(f"{path}: is not labelled data, and is left alone; {_ANOTHER}") from error
    if found != _OWN_FORMAT:
        raise DataError(f"{path}: is labelled data of another format ({found}), and is left alone; {_ANOTHER}")
    return JudgedFile(path, held, {own.id: any(pair.relations for pair in own.pairs) for own in read_own(path)})


def _check_place(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"{path}: is not a file; {_ANOTHER}")
        target = _target(path)
        if target.is_symlink():
            raise OutputError(f"{path}: is a link that leads nowhere; {_ANOTHER}")
        folder = (target if path.is_symlink() else path).parent
        if not folder.is_dir():
            raise OutputError(f"{path}: there is no folder '{folder}': make it, or {_ANOTHER}")
        # It will be replaced, for which leave to write to its folder would do.
        if path.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{path}: may not be written to; change its permissions, or {_ANOTHER}")
        make_private(temporary_path(target)).unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; {_ANOTHER}") from error


def _target(path: Path) -> Path:
    """Return where a path leads, whether or not something is there; a link that leads to itself stays one."""
    return Path(os.path.realpath(path))
