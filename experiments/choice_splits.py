"""The splits that settings are chosen on: ``python -m experiments.choice_splits`` writes them into configs/splits/.

FewRel's relations that no published split tests are dealt into folds of 15, as many as the hardest published splits
hold out. A fold's models train on all others but the test relations of partition `ori`: as in that partition, these
are held out as well, so that data of other sets doesn't teach them either.
"""

from __future__ import annotations

import json
from typing import Final

from experiments.plan import DATASETS, FOLDS, HELD_OUT, UNSEEN, fold_split
from experiments.recipes import CONFIGS
from zsre.relations.splits import Split, read_split
from zsre.trainer.config import find_data

HARDEST: Final = f"{max(UNSEEN)}_{DATASETS['fewrel'].partitions[0]}"


def choice_splits() -> dict[str, Split]:
    """Return the split of each fold by its name; raise a ConfigError where FewRel's published splits are missing."""
    names = [f"{m}_{partition}" for m in UNSEEN for partition in DATASETS["fewrel"].partitions]
    splits = {name: read_split(find_data(f"fewrel/splits/{name}.json")) for name in names}
    hardest = splits[HARDEST]
    tested = {relation for split in splits.values() for relation in split.test}
    known = _in_order({*hardest.train, *hardest.eval, *hardest.test})
    free = [relation for relation in known if relation not in tested]
    folds = {fold_split(fold): free[number :: len(FOLDS)][:HELD_OUT] for number, fold in enumerate(FOLDS)}
    return {
        name: Split(
            tuple(relation for relation in known if relation not in {*hardest.test, *held_out}),
            tuple(held_out),
            tuple(_in_order({*hardest.test})),
        )
        for name, held_out in folds.items()
    }


def main() -> None:
    """Write one file for each fold."""
    for name, split in choice_splits().items():
        content = {"train": split.train, "eval": split.eval, "test": split.test}
        (CONFIGS / "splits" / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def _in_order(relations: set[str]) -> list[str]:
    return sorted(relations, key=lambda relation: int(relation.removeprefix("P")))


if __name__ == "__main__":
    main()
