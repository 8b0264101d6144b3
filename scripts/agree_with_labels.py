"""Compare triples with labelled text: agree_with_labels.py test.triples redocred/test.json.gz

The triples are of a corpus that make_corpus.py made of the same data. A triple agrees if the labels state its relation
for two mentions that overlap its head and its tail. Only triples whose sentence is one of the data's can be compared.
Prints how many agree, by score, and what the labels say of the others, as Markdown.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from zsre.relations.readers import read_labelled

#: What each pair of spans (head start and end, tail start and end) of a sentence states.
Facts = Mapping[tuple[int, int, int, int], frozenset[str]]
#: Where bands of scores begin, and the end of the last one, which a score may reach.
BANDS = (0.0, 0.3, 0.4, 0.5, 0.6, 1.0)


def read_facts(path: Path) -> dict[str, Facts]:
    """Return the stated facts of each sentence, by its text; a text that comes up twice has the last one's."""
    facts: dict[str, Facts] = {}
    for sentence in read_labelled(path):
        own: dict[tuple[int, int, int, int], frozenset[str]] = {}
        for pair in sentence.pairs:
            head, tail = sentence.mentions[pair.head], sentence.mentions[pair.tail]
            own[head.start, head.end, tail.start, tail.end] = pair.relations
        facts[sentence.text] = own
    return facts


def stated(row: Mapping[str, Any], facts: Facts) -> frozenset[str]:
    """Return what the labels state for a triple's two mentions."""
    head, tail = (
        (row[f"{end}_start"] - row["sent_start"], row[f"{end}_end"] - row["sent_start"]) for end in ("head", "tail")
    )
    hits = (
        relations
        for (head_start, head_end, tail_start, tail_end), relations in facts.items()
        if head_start < head[1] and head[0] < head_end and tail_start < tail[1] and tail[0] < tail_end
    )
    return frozenset().union(*hits)


def read_rows(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a run."""
    for part in sorted(directory.glob("part-*.parquet")):
        yield from pq.read_table(part).to_pylist()


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triples", type=Path)
    parser.add_argument("labelled", type=Path)
    arguments = parser.parse_args()
    facts = read_facts(arguments.labelled)
    rows = list(read_rows(arguments.triples))
    compared = [row for row in rows if row["sentence"] in facts]
    agree: dict[float, list[bool]] = defaultdict(list)
    scores: dict[float, list[float]] = defaultdict(list)
    others: Counter[str] = Counter()
    for row in compared:
        relations = stated(row, facts[row["sentence"]])
        right = row["relation_id"] in relations
        for band in (max(low for low in BANDS[:-1] if low <= row["score"]), -1.0):
            agree[band].append(right)
            scores[band].append(row["score"])
        if not right:
            others["other relations" if relations else "none"] += 1
    print(f"{len(rows):,} triples, of which {len(compared):,} are in sentences of the data.\n")
    print("| score | triples | mean score | agree with the labels |\n| --- | --- | --- | --- |")
    for band in sorted(agree):
        name = "all" if band < 0 else f"{band} to {min(high for high in BANDS if high > band)}"
        count, total = sum(agree[band]), len(agree[band])
        mean = sum(scores[band]) / total
        print(f"| {name} | {total:,} | {mean:.2f} | {count:,} ({count / total:.0%}) |")
    print(f"\nOf the others, {others['other relations']:,} are labelled otherwise, {others['none']:,} not at all.")


if __name__ == "__main__":
    main()
