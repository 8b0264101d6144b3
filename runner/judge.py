"""Asking a person about triples, one at a time, on a terminal or through a pipe; and what the answers come to.

A score is never shown: who has seen it judges by it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from zsre.relations.catalogue import CATALOGUE
from zsre.relations.errors import DataError
from zsre.relations.metrics import wilson_interval
from zsre.relations.terminal import printable, write_out, writing_out
from zsre.runner.calibrate import LEAST_LABELS
from zsre.runner.counts import counted
from zsre.runner.judged import JudgedFile, judged_id, mentions_of
from zsre.runner.triples import Triple

PROMPT: Final = "y right, n wrong, s skip, u undo the last, q quit: "
_HEAD_STYLE: Final = "bold underline cyan"
_TAIL_STYLE: Final = "bold underline magenta"
#: What ``--max-relations`` is if it isn't given.
_MAX_RELATIONS: Final = 3


class Answer(StrEnum):
    """What a person can say of a triple."""

    RIGHT = "y"
    WRONG = "n"
    SKIP = "s"
    UNDO = "u"
    QUIT = "q"


class Draw:
    """Triples that were drawn, each once, and the file that verdicts on them go to."""

    def __init__(self, triples: Sequence[Triple], judged: JudgedFile) -> None:
        self._triples = {judged_id(triple): triple for triple in triples}
        self.judged = judged

    def __len__(self) -> int:
        return len(self._triples)

    @property
    def verdicts(self) -> list[bool]:
        """Return the verdicts on those that are judged."""
        known = self.judged.verdicts
        return [known[own] for own in self._triples if own in known]

    def open(self) -> list[tuple[int, Triple]]:
        """Return those that nobody has judged yet, each with its number in the draw, from 1."""
        known = self.judged.verdicts
        numbered = enumerate(self._triples.items(), start=1)
        return [(number, triple) for number, (own, triple) in numbered if own not in known]


def ask(draw: Draw, console: Console, descriptions: Mapping[str, str]) -> None:
    """Ask about whatever is open, and save each answer at once, until all is answered or somebody quits.

    ``descriptions`` are shown of the relations, by id, that have one.
    """
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
                write_out("nothing was answered yet that could be undone\n")
            case Answer.QUIT:
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


def summary(draw: Draw, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that say what the answers came to, and the command that uses them.

    ``facts`` are what the run's ``run.json`` says.
    """
    verdicts, judged = draw.verdicts, draw.judged
    line = f"judged {len(verdicts):,} of the {counted(len(draw), 'triple')} drawn"
    if verdicts:
        right = sum(verdicts)
        low, high = wilson_interval(right, len(verdicts))
        line += f": {right:,} right, {_percent(right / len(verdicts))} %"
        line += f" (95 % interval: {_percent(low)} to {_percent(high)} %)"
    yield line
    if left := len(draw) - len(verdicts):
        yield f"  {left:,} left: the same command asks about {'it' if left == 1 else 'them'}"
    every = list(judged.verdicts.values())
    if len(every) > len(verdicts):
        yield f"  {judged.path} holds {counted(len(every), 'labelled text')} in all"
    if every:
        if min(sum(every), len(every) - sum(every)) < LEAST_LABELS:
            yield f"  to calibrate takes {LEAST_LABELS} right and {LEAST_LABELS} wrong at the very least"
        yield from _next_command(judged, facts)


def _next_command(judged: JudgedFile, facts: Mapping[str, Any]) -> Iterator[str]:
    source, most = facts.get("relations_source"), facts.get("max_relations")
    if not isinstance(source, str):
        source = "relations.yaml"
    if source.partition(":")[0] == CATALOGUE:
        yield "next, with the relations of the catalogue in a file, as zsre-relations prints them:"
        source = "relations.yaml"
    else:
        yield "next:"
    words = ["zsre-eval", "--calibrate", str(judged.path), "--relations", source, "-o", "calibrated.yaml"]
    if type(most) is int and most != _MAX_RELATIONS:
        words += ["--max-relations", str(most)]
    yield f"  {shlex.join(words)}"


def _read_answer() -> Answer:
    while True:
        write_out(PROMPT)
        try:
            line = sys.stdin.buffer.readline()
        except OSError as error:
            raise DataError(f"standard input: cannot be read: {error.strerror or error}") from error
        if not sys.stdin.isatty():
            write_out("\n")
        word = line.decode("utf-8", "replace").strip().casefold()
        if not line:
            return Answer.QUIT
        if word in set(Answer):
            return Answer(word)
        write_out(f"answer with {', '.join(Answer)}\n")


def _write(console: Console, lines: Iterable[Text]) -> None:
    with writing_out(), console.capture() as captured:
        console.print()
        for line in lines:
            console.print(line)
    write_out(captured.get())


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
