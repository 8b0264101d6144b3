"""Asking a person about triples, one at a time, on a terminal or through a pipe.

A score is never shown: who has seen it judges by it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from zsre.relations.errors import DataError, UsageError
from zsre.relations.problems import some_of
from zsre.relations.relation import RelationSet
from zsre.relations.terminal import printable, write_out, writing_out
from zsre.runner.draw import Drawn
from zsre.runner.judged import JudgedFile, judged_id, mentions_of
from zsre.runner.triples import Triple, relations_fingerprint

logger = logging.getLogger(__name__)

PROMPT: Final = "y right, n wrong, s skip, u undo the last, q quit, ? what counts as right: "
WHAT_COUNTS: Final = """\
Judge the sentence alone: right is what it states, as the relation is described, head and tail the right way round.
What it denies, asks or plans is wrong; so is an entity that is cut wrongly, or of another kind than is described.
Leave what cannot be told with s.
"""
_HEAD_STYLE: Final = "bold underline cyan"
_TAIL_STYLE: Final = "bold underline magenta"


class Answer(StrEnum):
    """What a person can say of a triple."""

    RIGHT = "y"
    WRONG = "n"
    SKIP = "s"
    UNDO = "u"
    QUIT = "q"
    HELP = "?"


_WORDS: Final = {**{answer.value: answer for answer in Answer}, "yes": Answer.RIGHT, "no": Answer.WRONG}


class Draw:
    """Triples that were drawn, and the file that verdicts on them go to.

    Those that read the same, as in a text that several papers print, are one question: a verdict on one is one on all.
    """

    def __init__(self, drawn: Drawn, judged: JudgedFile) -> None:
        self.drawn, self.judged = drawn, judged
        self._alike: dict[object, list[Triple]] = {}
        for triple in drawn.triples:
            self._alike.setdefault(_shown(triple), []).append(triple)

    def __len__(self) -> int:
        """Return how many questions there are."""
        return len(self._alike)

    @property
    def verdicts(self) -> list[bool]:
        """Return the verdicts on those triples that are judged, each as often as it was drawn."""
        known = self.judged.verdicts
        found = ((_verdict(alike, known), len(alike)) for alike in self._alike.values())
        return [right for right, times in found if right is not None for _ in range(times)]

    def open(self) -> list[tuple[int, Triple]]:
        """Return a triple of each question that nobody has answered yet, with the question's number, from 1."""
        known = self.judged.verdicts
        numbered = enumerate(self._alike.values(), start=1)
        return [(number, alike[0]) for number, alike in numbered if _verdict(alike, known) is None]


def _shown(triple: Triple) -> object:
    """Return what a person is shown of a triple, and where in it: what reads the same is judged the same."""
    spans = [(mention.start, mention.end) for mention in mentions_of(triple)]
    return triple.sentence, triple.relation_id, *spans


def _verdict(alike: Iterable[Triple], known: Mapping[str, bool]) -> bool | None:
    return next((known[own] for own in map(judged_id, alike) if own in known), None)


def described(relations: RelationSet, drawn: Drawn, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the descriptions of relations by id, and warn where the run, by its ``facts``, was made with others.

    Raises UsageError if no triple that was drawn has one of the relations.
    """
    found = dict.fromkeys(triple.relation_id for triple in drawn.triples)
    if not any(own in relations for own in found):
        raise UsageError(
            f"--relations {relations.source}: describes none of the relations that were drawn ({some_of(found)}): give "
            "the file that the run was made with"
        )
    made_with = facts.get("relations")
    if isinstance(made_with, str) and made_with != relations_fingerprint(relations):
        logger.warning(
            "--relations %s: the run was made by other descriptions, types or thresholds than are shown here",
            relations.source,
        )
    return {relation.id: relation.description for relation in relations}


class _ReaderGoneError(Exception):
    """Nobody sees any more what is asked, as when ``head`` has had its lines."""


def ask(draw: Draw, console: Console, descriptions: Mapping[str, str]) -> None:
    """Ask about whatever is open, and save each answer at once, until all is answered or somebody quits.

    Whoever no longer reads the questions has quit, whatever answers are still on their way. ``descriptions`` are shown
    of the relations, by id, that have one.
    """
    with suppress(_ReaderGoneError):
        _ask(draw, console, descriptions)


def _ask(draw: Draw, console: Console, descriptions: Mapping[str, str]) -> None:
    questions = draw.open()
    place = 0
    while place < len(questions):
        number, triple = questions[place]
        title = title_view(triple, f"{number} of {len(draw)}", descriptions.get(triple.relation_id))
        _write(console, [*title, *triple_view(triple, marked=console.color_system is None)])
        match _read_answer():
            case Answer.RIGHT | Answer.WRONG as answer:
                draw.judged.add(triple, right=answer is Answer.RIGHT)
                place += 1
            case Answer.SKIP:
                place += 1
            case Answer.UNDO if place:
                place -= 1
                draw.judged.take_back(questions[place][1])
            case Answer.UNDO:
                _say("nothing was answered yet that could be undone\n")
            case _:
                return


def title_view(triple: Triple, place: str, description: str | None) -> Iterator[Text]:
    """Yield the lines that say which triple this is, and what its relation says of the tail, if that is known."""
    own_id = "" if triple.relation_id == triple.relation else f" ({triple.relation_id})"
    yield Text(printable(f"{place}: {triple.relation}{own_id}"), "bold")
    if description is not None:
        yield Text(printable(f"the tail is: {description}"), "dim")


def triple_view(triple: Triple, marked: bool) -> Iterator[Text]:
    """Yield the lines that show a triple; ``marked`` puts brackets around head and tail, where there are no colours."""
    head, tail = (printable(name) for name in (triple.head, triple.tail))
    yield Text.assemble((head, _HEAD_STYLE), (f" –{printable(triple.relation)}→ ", "bold"), (tail, _TAIL_STYLE))
    # Each character becomes one, so that offsets stay what they are.
    shown = Text(printable(triple.sentence))
    ends = sorted(zip(mentions_of(triple), "ht", (_HEAD_STYLE, _TAIL_STYLE), strict=True), key=lambda end: end[0].start)
    sentence, position = Text(), 0
    for mention, letter, style in ends:
        sentence.append_text(shown[position : mention.start])
        inside = shown.plain[mention.start : mention.end]
        sentence.append(f"[{letter}|{inside}]" if marked else inside, style)
        position = mention.end
    yield sentence.append_text(shown[position:])


def _read_answer() -> Answer:
    """Return the next answer other than a call for help, which is heard here."""
    while True:
        _say(PROMPT)
        try:
            line = sys.stdin.buffer.readline()
        except OSError as error:
            raise DataError(f"standard input: cannot be read: {error.strerror or error}") from error
        if not sys.stdin.isatty():
            _say("\n")
        if not line:
            return Answer.QUIT
        # Some programs begin what they send through a pipe with a mark of its encoding.
        answer = _WORDS.get(line.decode("utf-8", "replace").removeprefix("\ufeff").strip().casefold())
        if answer not in (None, Answer.HELP):
            return answer
        _say(WHAT_COUNTS if answer else f"answer with {', '.join(Answer)}\n")


def _write(console: Console, lines: Iterable[Text]) -> None:
    with writing_out(), console.capture() as captured:
        console.print()
        for line in lines:
            console.print(line)
    _say(captured.get())


def _say(text: str) -> None:
    if not write_out(text):
        raise _ReaderGoneError
