"""Deal the relations that no published FewRel split tests into the folds that settings are chosen on.

``python scripts/deal_choice_splits.py`` writes configs/splits/. Each fold holds 15 relations out, as many as the hardest
published splits, and trains on the rest but the test relations of partition `ori`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from experiments.plan import DATASETS, FOLDS, HELD_OUT, UNSEEN, fold_split
from zsre.relations.splits import read_split
from zsre.trainer.config import find_data

FOLDER: Final = Path(__file__).resolve().parents[1] / "configs" / "splits"


def main() -> None:
    """Write one split file for each fold."""
    names = [f"{m}_{partition}" for m in UNSEEN for partition in DATASETS["fewrel"].partitions]
    splits = {name: read_split(find_data(f"fewrel/splits/{name}.json")) for name in names}
    hardest = splits[f"{max(UNSEEN)}_ori"]
    tested = {relation for split in splits.values() for relation in split.test}
    known = {*hardest.train, *hardest.eval, *hardest.test}
    free = sorted(known - tested, key=lambda relation: int(relation[1:]))
    for number, fold in enumerate(FOLDS):
        held_out = free[number :: len(FOLDS)][:HELD_OUT]
        train = sorted(known - set(hardest.test) - set(held_out), key=lambda relation: int(relation[1:]))
        path = FOLDER / f"{fold_split(fold)}.json"
        path.write_text(json.dumps({"train": train, "eval": held_out, "test": []}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
