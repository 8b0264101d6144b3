"""What people and programs are told of why a triple is written or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zsre.relations.terminal import printable
from zsre.runner.counts import counted
from zsre.runner.explain import Considered, ExplainedPair, ExplainedSentence, Explanation, NamedMention, Verdict
from zsre.runner.pairing import LeftOut

#: The figures of a relation: how a column is headed, and the field that it shows.
_FIGURES: Final = {
    "score": "score",
    "threshold": "threshold",
    "similarity": "similarity",
    "head": "similarity_head",
    "tail": "similarity_tail",
    "context": "similarity_context",
    "margin": "margin",
}
#: The widest figure is a similarity below zero.
_WIDTHS: Final = tuple(max(len(heading), len("-0.1234")) for heading in _FIGURES)
_INDENT: Final = 2


def show(console: Console, explanation: Explanation) -> None:
    """Print an explanation for people."""
    pairs = [pair for sentence in explanation.sentences for pair in sentence.pairs]
    names = ["relation", *(own.relation.name for pair in pairs for own in pair.relations)]
    width = min(max(map(cell_len, names)), console.width - _INDENT - sum(width + 1 for width in _WIDTHS))
    for number, sentence in enumerate(explanation.sentences):
        if number:
            console.print()
        _show_sentence(console, explanation, sentence, width)
    if explanation.crossing:
        console.print()
        _line(console, f"{counted(explanation.crossing, 'mention')} left out: within no single sentence")


def pair_objects(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """Yield what is said of each pair as an object of JSON; what a triple has too is called as in the output."""
    for sentence in explanation.sentences:
        place = {"sent_start": sentence.start, "sent_end": sentence.end, "sentence": sentence.text}
        for pair in sentence.pairs:
            yield {
                **place,
                **_mention_fields("head", pair.head),
                **_mention_fields("tail", pair.tail),
                "left_out": pair.left_out,
                "reason": pair_words(explanation, pair),
                "relations": [_relation_fields(explanation, pair, own) for own in pair.relations],
            }


def pair_words(explanation: Explanation, pair: ExplainedPair) -> str | None:
    """Say why a pair is not scored; ``None`` for one that is."""
    if pair.left_out is None:
        return None
    crowd = f"--max-mentions {explanation.max_mentions}"
    return {
        LeftOut.OVERLAPPING: "the two mentions overlap",
        LeftOut.SAME_NAME: "the two mentions read the same",
        LeftOut.CROWDED: f"far apart in a sentence with more mentions than {crowd}",
        LeftOut.UNFITTING: f"no relation allows {_type(pair.head)} as head and {_type(pair.tail)} as tail",
        LeftOut.LONG: "not read: further apart than the model reads",
        LeftOut.TOKENLESS: "not read: a mention has no token that the model knows",
    }[pair.left_out]


def verdict_words(explanation: Explanation, pair: ExplainedPair, own: Considered) -> str:
    """Say what became of a relation, and why."""
    beyond = f"beyond --max-relations {explanation.max_relations}"
    match own.verdict:
        case Verdict.WRITTEN:
            return "written"
        case Verdict.BELOW_THRESHOLD:
            return "below the threshold"
        case Verdict.BEYOND_MAX_RELATIONS:
            return beyond
        case Verdict.TYPES:
            below = "; below the threshold, too" if own.score < own.threshold else ""
            return f"types: {_misfits(pair, own)}{below}"
        case Verdict.OTHER_WAY_ROUND:
            other = own.other_way
            assert other is not None
            than = "higher similarity" if other.similarity > own.similarity else "same similarity, and comes first"
            unwritten = "" if other.written else f"; that is {beyond}"
            fact = f"{other.head} –{other.relation}→ {other.tail}"
            return f"better the other way round: {fact} ({than}){unwritten}"


def _misfits(pair: ExplainedPair, own: Considered) -> str:
    ends = (("head", pair.head, own.relation.head), ("tail", pair.tail, own.relation.tail))
    return "; ".join(
        f"{end} {_type(mention)} is none of {', '.join(wanted.types)}"
        for end, mention, wanted in ends
        if not wanted.allows(mention.type)
    )


def _type(mention: NamedMention) -> str:
    return mention.type or "an entity without a type"


def _mention_fields(end: str, mention: NamedMention) -> dict[str, Any]:
    fields = asdict(mention)
    return {end: fields.pop("text"), **{f"{end}_{name}": value for name, value in fields.items()}}


def _relation_fields(explanation: Explanation, pair: ExplainedPair, own: Considered) -> dict[str, Any]:
    return {
        "relation_id": own.relation.id,
        "relation": own.relation.name,
        **{field: getattr(own, field) for field in _FIGURES.values()},
        "verdict": own.verdict,
        "reason": verdict_words(explanation, pair, own),
    }


def _show_sentence(console: Console, explanation: Explanation, sentence: ExplainedSentence, width: int) -> None:
    _line(console, sentence.text, style="bold")
    mentions = (f"{mention.text} ({_type(mention)})" for mention in sentence.mentions)
    _line(console, "mentions: " + (", ".join(mentions) or "none"), _INDENT)
    if sentence.duplicates:
        _line(console, f"{counted(sentence.duplicates, 'mention')} left out: given twice", _INDENT)
    scored = [pair for pair in sentence.pairs if pair.left_out is None]
    if scored:
        console.print()
        console.print(_row("relation", _FIGURES, width))
    for number, pair in enumerate(scored):
        if number:
            console.print()
        _line(console, _arrow(pair), style="bold")
        for own in pair.relations:
            _show_relation(console, explanation, pair, own, width)
    if len(scored) < len(sentence.pairs):
        console.print()
        _line(console, "not scored:")
    for pair in sentence.pairs:
        if pair.left_out is not None:
            _line(console, f"{_arrow(pair)}: {pair_words(explanation, pair)}", _INDENT)


def _show_relation(
    console: Console, explanation: Explanation, pair: ExplainedPair, own: Considered, width: int
) -> None:
    values = (getattr(own, field) for field in _FIGURES.values())
    console.print(_row(own.relation.name, ("" if value is None else f"{value:.4f}" for value in values), width))
    style = "green" if own.verdict is Verdict.WRITTEN else ""
    _line(console, verdict_words(explanation, pair, own), 2 * _INDENT, style)


def _arrow(pair: ExplainedPair) -> str:
    return f"{pair.head.text} → {pair.tail.text}"


def _row(name: str, figures: Iterable[str], width: int) -> Padding:
    """Lay out a line whose columns are as wide as those of every other, so that lines can stand apart."""
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(width=width, overflow="fold")
    for figure_width in _WIDTHS:
        table.add_column(justify="right", width=figure_width)
    table.add_row(Text(printable(name)), *figures)
    return Padding(table, (0, 0, 0, _INDENT), expand=False)


def _line(console: Console, text: str, indent: int = 0, style: str = "") -> None:
    """Print what may come from a corpus: nothing in it is taken for markup, or for a command to the terminal."""
    console.print(Padding(Text(printable(text), style), (0, 0, 0, indent), expand=False))
