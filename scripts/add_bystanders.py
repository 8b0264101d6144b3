"""Add bystanders to labelled data: add_bystanders.py fewrel.json.gz bystanders.jsonl [--per-relation 100] [--seed 13]

Data sets such as FewRel mark one pair in a sentence, so a model never learns that what is stated of this pair is not
stated of everybody else. spaCy finds who else is mentioned; pairs with them are negatives for the relations that the
sentence states, and for no others. A few of these pairs may be right all the same, as in lists.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Final

from zsre.relations.errors import ZsreError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled
from zsre.runner.pipeline import Pipeline, load_pipeline

#: Mentions and pairs that are added to a sentence at most.
MOST_MENTIONS: Final = 6
MOST_PAIRS: Final = 8


def draw(sentences: Sequence[LabelledSentence], per_relation: int, random: random.Random) -> list[LabelledSentence]:
    """Draw sentences in random order until each relation is stated in so many, where there are."""
    counts: Counter[str] = Counter()
    drawn = []
    for sentence in random.sample(sentences, len(sentences)):
        stated = stated_relations(sentence)
        if any(counts[relation] < per_relation for relation in stated):
            counts.update(stated)
            drawn.append(sentence)
    return drawn


def add_bystanders(
    sentences: Sequence[LabelledSentence], pipeline: Pipeline, random: random.Random
) -> Iterator[LabelledSentence]:
    """Yield each sentence with further mentions, and with pairs of theirs that don't state what it states.

    Pairs that share an end with a stated one come first. A mention that reads like a labelled one is left out, as it
    may be the same entity.
    """
    annotations = pipeline.annotate((sentence.text for sentence in sentences), find_entities=True)
    for sentence, annotation in zip(sentences, annotations, strict=True):
        others = list(strangers(sentence, annotation.entities))
        random.shuffle(others)
        mentions = (*sentence.mentions, *others[:MOST_MENTIONS])
        relations = stated_relations(sentence)
        labelled = {end for pair in sentence.pairs if pair.relations for end in (pair.head, pair.tail)}
        ends = [
            pair
            for pair in permutations(range(len(mentions)), 2)
            if max(pair) >= len(sentence.mentions) and not mentions[pair[0]].overlaps(mentions[pair[1]])
        ]
        random.shuffle(ends)
        ends.sort(key=labelled.isdisjoint)
        added = tuple(LabelledPair(*pair, frozenset(), relations) for pair in ends[:MOST_PAIRS] if relations)
        yield replace(sentence, mentions=mentions, pairs=(*sentence.pairs, *added))


def strangers(sentence: LabelledSentence, entities: Iterable[Mention]) -> Iterator[Mention]:
    """Yield the entities that neither overlap a mention of the sentence nor read like one."""
    names = {sentence.text[mention.start : mention.end].casefold() for mention in sentence.mentions}
    for entity in entities:
        known = any(entity.overlaps(mention) for mention in sentence.mentions)
        if not known and sentence.text[entity.start : entity.end].casefold() not in names:
            yield entity


def stated_relations(sentence: LabelledSentence) -> frozenset[str]:
    """Return the relations that a sentence states of some pair."""
    return frozenset(relation for pair in sentence.pairs for relation in pair.relations)


def main() -> int:
    """Write the sentences, in the format of zsre's own labelled data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--per-relation", type=int, default=100, metavar="N", help="sentences drawn (default: 100)")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    try:
        drawn = draw(list(read_labelled(arguments.data)), arguments.per_relation, generator)
        write_labelled(arguments.output, add_bystanders(drawn, load_pipeline(), generator))
    except ZsreError as error:
        print(f"add_bystanders: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.output}: {len(drawn):,} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
