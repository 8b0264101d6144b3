"""Say what labelled sentences state, and don't: make_contrasts.py fewrel.json.gz contrasts.jsonl [--per-relation 100]

Two sentences are joined by a frame of contrast/frames.yaml, which often claims one and leaves the other open: it asks,
denies, supposes or reports it, or says it of somebody else. The pair of an open one is then a negative for all
relations, that of a claimed one states what it did, and pairs across the two state nothing. Both often state the same
relation, or one of them is a filler that states nothing. Only sentences whose main clause connects head and tail are
used, as apposition ("Ann, wife of Ben, ...") is claimed whatever happens around it.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import spacy
import yaml

from zsre.relations.errors import ZsreError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled
from zsre.runner.pipeline import installed_default

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

FRAMES: Final = Path(__file__).resolve().parents[1] / "contrast" / "frames.yaml"
LONGEST: Final = 26
#: Edges of the parse that say something whatever becomes of the main clause, or that are another clause's.
ASIDE: Final = frozenset({"appos", "relcl", "acl", "advcl", "conj", "parataxis", "ccomp", "poss"})
SUBJECTS: Final = frozenset({"nsubj", "nsubjpass"})
AUXILIARIES: Final = frozenset({"aux", "auxpass"})
#: Past participles of verbs that encyclopedias like, where they are not the past tense itself.
PARTICIPLES: Final = {
    "wrote": "written", "became": "become", "began": "begun", "took": "taken", "gave": "given", "grew": "grown",
    "rose": "risen", "fell": "fallen", "drew": "drawn", "ran": "run", "sang": "sung", "went": "gone", "came": "come",
    "chose": "chosen", "flew": "flown", "wore": "worn", "beat": "beaten", "overcame": "overcome", "saw": "seen",
    "lay": "lain", "did": "done", "bore": "borne", "withdrew": "withdrawn", "knew": "known",
}  # fmt: skip
#: What somebody else may be to the subject, by whether it is a person.
OTHERS: Final = {
    True: ("a friend of", "a rival of", "a pupil of", "a neighbour of", "an admirer of", "the lawyer of"),
    False: ("a copy of", "a rival of", "the predecessor of", "a critic of", "the opposite of", "a model of"),
}
#: What makes a main verb open, and what leaves it claimed, once it is an infinitive.
RAISED: Final = {
    "open": (
        "was supposed to", "was expected to", "failed to", "was rumoured to", "was alleged to", "was scheduled to",
        "seemed about to", "was never to", "was falsely reported to", "was forbidden to", "was almost made to",
    ),
    "claimed": (
        "managed to", "came to", "was known to", "proved to", "turned out to", "was confirmed to", "was found to",
        "went on to", "was rightly reported to", "was allowed at last to", "was indeed made to",
    ),
}  # fmt: skip
#: What to write in place of a text's characters start to end.
Edit = tuple[int, int, str]
#: Types of entities whose capital stays.
NAMES: Final = frozenset({"PERSON", "ORG", "GPE", "NORP", "WORK_OF_ART", "DATE"})
SLOT: Final = re.compile(r"\{([oOcCdD])(?::(\w+))?\}")


@dataclass(frozen=True)
class Clause:
    """A clause without its full stop, and the spans (start, end) of its head and tail; a filler has none."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Statement:
    """A sentence as a clause in its several forms, by name, ``plain`` among them; what it states, and of whom."""

    forms: Mapping[str, Clause]
    relations: frozenset[str] = frozenset()


def statements(sentences: Iterable[LabelledSentence], nlp: Any, random: random.Random) -> Iterator[Statement]:
    """Yield those sentences that can stand in a frame: short, of one pair, whose main clause connects the two ends."""
    chosen = [
        sentence
        for sentence in sentences
        if len(sentence.pairs) == 1 and sentence.pairs[0].relations and can_stand_in_a_frame(sentence.text)
    ]
    for sentence, parse in zip(chosen, nlp.pipe(sentence.text for sentence in chosen), strict=True):
        pair = sentence.pairs[0]
        ends = (sentence.mentions[pair.head], sentence.mentions[pair.tail])
        spans = [(mention.start, mention.end) for mention in ends]
        if forms := clause_forms(parse, spans, random):
            yield Statement(forms, pair.relations)


def can_stand_in_a_frame(text: str) -> bool:
    """Tell whether a sentence is short and plain enough to be joined with another."""
    return text.endswith(".") and len(text.split()) <= LONGEST and not re.search(r"""[;:?!"“”()]""", text)


def clause_forms(parse: Doc, spans: Sequence[tuple[int, int]], random: random.Random) -> dict[str, Clause] | None:
    """Return a sentence's forms, or None if it cannot stand in a frame."""
    roots = [token for token in parse if token.dep_ == "ROOT"]
    if len(roots) != 1:
        return None
    root = roots[0]
    finite = root.tag_ in {"VBD", "VBZ", "VBP"} or any(child.dep_ in AUXILIARIES for child in root.children)
    subject = next((child for child in root.lefts if child.dep_ in SUBJECTS), None)
    found = [parse.char_span(*span, alignment_mode="expand") for span in spans]
    ends = [end for end in found if end is not None]
    if len(ends) < len(found):
        return None
    branches = [branch(end, root) for end in ends]
    if not finite or subject is None or None in branches or len(set(branches)) < len(branches):
        return None
    if any(child.dep_ == "neg" for child in root.children):
        return None
    forms: dict[str, list[Edit]] = {"plain": [], **open_forms(root, subject, ends, random)}
    made = {name: edited(parse, edits, spans) for name, edits in forms.items()}
    return None if made["plain"] is None else {name: clause for name, clause in made.items() if clause is not None}


def branch(end: Span, root: Token) -> Token | None:
    """Return what a mention hangs on directly below the main verb; None if it is another clause's, or beside it."""
    token = end.root
    while token.head != root:
        if token.dep_ in ASIDE or token == root:
            return None
        token = token.head
    return None if token.dep_ in ASIDE else token


def open_forms(root: Token, subject: Token, ends: Sequence[Span], random: random.Random) -> dict[str, list[Edit]]:
    """Return the edits that make each form; forms that the verb doesn't allow are left out."""
    first = next((child for child in root.lefts if child.dep_ in AUXILIARIES), None)
    verb = first or root
    start, end = verb.idx, verb.idx + len(verb)
    low, high = subject.left_edge.idx, subject.right_edge.idx + len(subject.right_edge)
    forms: dict[str, list[Edit]] = {}
    if high > start:
        return forms
    if first is not None or verb.lemma_ == "be":
        forms["negated"] = [(end, end, random.choice((" not", " never") if verb.tag_ == "VBD" else (" not",)))]
        forms["asked"] = [(low, low, verb.text + " "), (start, end + 1, "")]
        if first is None or first.lemma_ == "be":
            forms["hedged"] = [(start, end, hedge(random) + (" have been" if verb.tag_ == "VBD" else " be"))]
    elif verb.tag_ in {"VBD", "VBZ"}:
        helper = "did" if verb.tag_ == "VBD" else "does"
        forms["negated"] = [(start, end, f"{helper} not {verb.lemma_}")]
        forms["asked"] = [(low, low, f"{helper} "), (start, end, verb.lemma_)]
        if verb.tag_ == "VBZ":
            forms["hedged"] = [(start, end, f"{hedge(random)} {verb.lemma_}")]
        elif verb.text in PARTICIPLES or verb.text.endswith(("ed", "ld", "ht", "nt", "on", "et", "ft", "de")):
            forms["hedged"] = [(start, end, f"{hedge(random)} have {PARTICIPLES.get(verb.text, verb.text)}")]
    if verb.lemma_ == "be" or (first is None and verb.tag_ in {"VBD", "VBZ"}):
        forms |= {name: [(start, end, f"{random.choice(words)} {verb.lemma_}")] for name, words in RAISED.items()}
    if any(subject in mention for mention in ends) and subject.tag_ in {"NNP", "NN"}:
        forms["other"] = [(low, low, random.choice(OTHERS[subject.ent_type_ == "PERSON"]) + " ")]
    return forms


def hedge(random: random.Random) -> str:
    """Return a modal that leaves open what it stands before."""
    return random.choice(("may", "might", "could"))


def edited(parse: Doc, edits: Iterable[Edit], spans: Sequence[tuple[int, int]]) -> Clause | None:
    """Return the clause with the edits made, to stand within a sentence; None if they touch a span."""
    text = within_sentence(parse)
    made, done = "", 0
    moved: dict[tuple[int, int], tuple[int, int]] = {}
    for start, end, new in (*sorted(edits), (len(text), len(text), "")):
        for span in spans:
            if done <= span[0] and span[1] <= start:
                moved[span] = (span[0] - done + len(made), span[1] - done + len(made))
        made += text[done:start] + new
        done = end
    return Clause(made, tuple(moved[span] for span in spans)) if len(moved) == len(spans) else None


def within_sentence(parse: Doc) -> str:
    """Return a sentence without its full stop, and without its capital where that is not a name's."""
    text, first = parse.text.removesuffix(".").rstrip(), parse[0]
    if first.text in {"The", "A", "An"}:
        return text[0].lower() + text[1:]
    name = first.tag_.startswith("NNP") or first.ent_type_ in NAMES or first.text == "I"
    return text if name or not first.text[1:].islower() else text[0].lower() + text[1:]


def fill(frame: str, one: Statement, other: Statement) -> tuple[str, list[Mention], list[LabelledPair]] | None:
    """Return a frame with both clauses in place: its text, mentions and pairs; None without the form that it needs.

    The pair of a claimed clause states what it did. That of an open one states nothing, nor do pairs across the two.
    """
    text, done = "", 0
    mentions: list[Mention] = []
    pairs: list[LabelledPair] = []
    for slot in SLOT.finditer(frame):
        name, form = slot.groups()
        statement = other if name in "cC" else one
        clause = statement.forms.get(form or "plain")
        if clause is None:
            return None
        text += frame[done : slot.start()]
        if clause.spans:
            head = len(mentions)
            mentions += (Mention(start + len(text), end + len(text)) for start, end in clause.spans)
            pairs.append(LabelledPair(head, head + 1, frozenset() if name in "oO" else statement.relations))
        text += clause.text[:1].upper() + clause.text[1:] if name.isupper() else clause.text
        done = slot.end()
    if len(mentions) == 4:
        pairs += (LabelledPair(*ends, frozenset()) for ends in ((0, 3), (2, 1)))
    return text + frame[done:], mentions, pairs


def contrasts(
    found: Sequence[Statement], fillers: Sequence[Statement], frames: Mapping[str, Sequence[str]], random: random.Random
) -> Iterator[LabelledSentence]:
    """Yield a joined sentence for each statement, in random frames, kinds in equal shares as far as its forms go.

    Nothing comes of one that names somebody twice, as who is meant would not be told.
    """
    same = defaultdict(list)
    for statement in found:
        same[statement.relations].append(statement)
    for number, statement in enumerate(found):
        filled = None
        while filled is None:
            partner = random.choice(random.choices((same[statement.relations], found, fillers), (5, 2, 3))[0])
            kind = random.choice(list(frames))
            filled = fill(random.choice(frames[kind]), *random.sample((statement, partner), 2))
        text, mentions, pairs = filled
        names = [text[mention.start : mention.end].casefold() for mention in mentions]
        if len(set(names)) == len(names):
            yield LabelledSentence(f"contrasts/{number}", "contrasts", text, tuple(mentions), tuple(pairs))


def load_frames(path: Path, nlp: Any, random: random.Random) -> tuple[list[Statement], dict[str, list[str]]]:
    """Return the fillers and the frames of a file, by kind."""
    frames: dict[str, list[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    fillers = [clause_forms(parse, (), random) for parse in nlp.pipe(frames.pop("fillers"))]
    return [Statement(forms) for forms in fillers if forms], frames


def at_most(found: Iterable[Statement], per_relation: int) -> list[Statement]:
    """Return the first statements of each set of relations, no more than so many."""
    counts: Counter[frozenset[str]] = Counter()
    chosen = []
    for statement in found:
        if counts[statement.relations] < per_relation:
            counts[statement.relations] += 1
            chosen.append(statement)
    return chosen


def main() -> int:
    """Write the joined sentences, in the format of zsre's own labelled data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--per-relation", type=int, default=100, metavar="N", help="sentences used (default: 100)")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    try:
        nlp = spacy.load(installed_default())
        fillers, frames = load_frames(FRAMES, nlp, generator)
        labelled = list(read_labelled(arguments.data))
        found = statements(generator.sample(labelled, len(labelled)), nlp, generator)
        joined = list(contrasts(at_most(found, arguments.per_relation), fillers, frames, generator))
        write_labelled(arguments.output, joined)
    except ZsreError as error:
        print(f"make_contrasts: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.output}: {len(joined):,} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
