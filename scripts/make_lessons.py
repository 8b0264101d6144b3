"""Turn written relations into what training reads: make_lessons.py lessons/ runs/lessons/

Of the YAML files of the first folder, which lessons/README.md describes, four are made: ``sentences.jsonl``, labelled
data, and ``relations.yaml``, ``wordings-1.yaml`` and ``wordings-2.yaml``, the relations in three wordings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import yaml

from zsre.relations.errors import DataError, ZsreError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_contrast import unmark
from zsre.relations.reader_own import write_labelled

WORDINGS: Final = 2
#: What a relation has in a relations file.
_DESCRIBED: Final = ("id", "name", "description", "symmetric", "head", "tail")


def load_lessons(folder: Path) -> list[Mapping[str, Any]]:
    """Return the relations of a folder's YAML files, in the order of their names."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise DataError(f"{folder}: has no YAML files; give the folder of written relations")
    return [relation for path in paths for relation in yaml.safe_load(path.read_text(encoding="utf-8"))]


def labelled(lessons: Sequence[Mapping[str, Any]]) -> Iterator[LabelledSentence]:
    """Yield every sentence with what is known of its pairs."""
    for relation in lessons:
        for states in (True, False):
            field = "states" if states else "silent"
            for number, marked in enumerate(relation[field], start=1):
                yield sentence(relation, states, marked, f"{relation['id']}/{field}/{number}")


def sentence(relation: Mapping[str, Any], states: bool, marked: str, id: str) -> LabelledSentence:
    """Return a sentence with its pairs: those with another entity are negatives for the relation.

    From tail to head it is a negative where the sentence states the relation and that has a direction; a silent
    sentence may well say it the other way round.
    """
    text, spans = unmark(marked)
    (head,), (tail,) = spans["h"], spans["t"]
    ends = sorted([head, tail, *spans["o"]])
    decided = frozenset({relation["id"]})
    pairs = []
    for one, other in permutations(range(len(ends)), 2):
        pair = ends[one], ends[other]
        if pair == (head, tail) or (states and relation.get("symmetric", False) and pair == (tail, head)):
            # The relations are distinct, so what states one of them states none of the others.
            pairs.append(
                LabelledPair(one, other, decided) if states else LabelledPair(one, other, frozenset(), decided)
            )
        elif states or pair != (tail, head):
            pairs.append(LabelledPair(one, other, frozenset(), decided))
    return LabelledSentence(id, "lessons", text, tuple(Mention(*span) for span in ends), tuple(pairs))


def described(relation: Mapping[str, Any], wording: int) -> dict[str, Any]:
    """Return a relation as it stands in a relations file, in its own words (0) or in others."""
    own = {field: relation[field] for field in _DESCRIBED if field in relation}
    return own if wording == 0 else {**own, "description": relation["also"][wording - 1]}


def main() -> int:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    try:
        lessons = load_lessons(arguments.lessons)
        arguments.output.mkdir(parents=True, exist_ok=True)
        for wording in range(WORDINGS + 1):
            name = f"wordings-{wording}.yaml" if wording else "relations.yaml"
            relations = {"relations": [described(relation, wording) for relation in lessons]}
            text = yaml.safe_dump(relations, allow_unicode=True, sort_keys=False, width=10_000)
            (arguments.output / name).write_text(text, encoding="utf-8")
        sentences = list(labelled(lessons))
        write_labelled(arguments.output / "sentences.jsonl", sentences)
    except ZsreError as error:
        print(f"make_lessons: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.output}: {len(lessons):,} relations, {len(sentences):,} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
