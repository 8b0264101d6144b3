"""Read labelled data: one function for every format, found by what a file holds unless it is named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_contrast import is_contrast, read_contrast
from zsre.relations.reader_fewrel import (
    is_fewrel,
    is_wiki80,
    is_wikizsl,
    read_fewrel,
    read_wiki80,
    read_wikizsl,
)
from zsre.relations.reader_knowledgenet import is_knowledgenet, read_knowledgenet
from zsre.relations.reader_lessons import is_lessons, read_lessons
from zsre.relations.reader_own import is_own, read_own, write_labelled
from zsre.relations.reader_redocred import is_redocred, read_redocred
from zsre.relations.reader_semeval import is_semeval, read_semeval
from zsre.relations.reader_source import Place, numbered_lines, parse_json, read_json

__all__ = ["FORMATS", "LabelledFormat", "find_format", "read_labelled", "write_labelled"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledFormat:
    """A format of labelled data.

    ``recognises`` is given the first value of a file: the object on its first line, the first item of a JSON list,
    a JSON object that fills the file, or, where there is no JSON, the first line as it is.
    """

    summary: str
    recognises: Callable[[object], bool]
    read: Callable[[Path], Iterator[LabelledSentence]]


#: Every format by its name.
FORMATS: Final[Mapping[str, LabelledFormat]] = {
    "zsre": LabelledFormat("JSON lines with text, mentions, pairs", is_own, read_own),
    "fewrel": LabelledFormat("JSON object of instances by relation", is_fewrel, read_fewrel),
    "wiki80": LabelledFormat("JSON lines with token or text, h, t, relation", is_wiki80, read_wiki80),
    "wikizsl": LabelledFormat("JSON lines with tokens, triples", is_wikizsl, read_wikizsl),
    "redocred": LabelledFormat("JSON list with sents, vertexSet, labels", is_redocred, read_redocred),
    "knowledgenet": LabelledFormat("JSON list with text, facts", is_knowledgenet, read_knowledgenet),
    "contrast": LabelledFormat("JSON lines with states, silent", is_contrast, read_contrast),
    "lessons": LabelledFormat("JSON lines with states or silent", is_lessons, read_lessons),
    "semeval": LabelledFormat("text of SemEval-2010 Task 8", is_semeval, read_semeval),
}


def read_labelled(path: Path, format: str | None = None, setting: str = "format") -> Iterator[LabelledSentence]:
    """Return the labelled sentences of a file, plain or gzip, one by one.

    ``format`` is a name in ``FORMATS``; without it the format is found by content, at once. Errors call it
    ``setting``, which is what a person sets it by, such as a flag. Pairs whose mentions overlap are left out, and
    their number is logged when the file has been read. Raises ``DataError``, here or while iterating, where the file
    cannot be read as what it should be.
    """
    if format is not None and format not in FORMATS:
        raise DataError(f'{setting}: there is no format "{format}"; give one of {", ".join(FORMATS)}')
    found = FORMATS[format if format is not None else find_format(path, setting)]
    return _without_overlaps(found.read(path), path)


def find_format(path: Path, setting: str = "format") -> str:
    """Return the name of the format that the beginning of a file shows.

    Raises ``DataError`` if it shows none or several; ``setting`` is where that error says to name the format.
    """
    first = _first_value(path)
    names = [name for name, known in FORMATS.items() if known.recognises(first)]
    if len(names) != 1:
        formats = "; ".join(f"{name}: {known.summary}" for name, known in FORMATS.items())
        what = "looks like " + " and ".join(names) if names else "is in no format that is known here"
        raise Place(str(path)).error(f"{what}; name its format with {setting} ({formats})")
    return names[0]


def _first_value(path: Path) -> object:
    """Return what ``LabelledFormat.recognises`` is given."""
    number, line = next(((n, text) for n, text in numbered_lines(path) if text.strip()), (1, ""))
    if not line.lstrip().startswith(("{", "[")):
        return line
    try:
        value = parse_json(line, Place(str(path), f"line {number}"))
    except DataError:
        value = read_json(path)  # a document written over many lines; else this says where the first is broken
    return value[0] if isinstance(value, list) and value else value


def _without_overlaps(sentences: Iterator[LabelledSentence], path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences without the pairs whose mentions share a character: no model can tell their ends apart."""
    left_out = 0
    for sentence in sentences:
        pairs = tuple(pair for pair in sentence.pairs if not _overlaps(sentence, pair))
        left_out += len(sentence.pairs) - len(pairs)
        yield sentence if len(pairs) == len(sentence.pairs) else replace(sentence, pairs=pairs)
    if left_out:
        _logger.warning("%s: %d pairs left out because their mentions overlap", path, left_out)


def _overlaps(sentence: LabelledSentence, pair: LabelledPair) -> bool:
    return sentence.mentions[pair.head].overlaps(sentence.mentions[pair.tail])
