"""What the adapter is worth: ``python -m experiments.wordings --run RUN`` writes results/wordings.md.

Only relation texts are looked at here, no sentences. One file of wordings is left out, the others fit the adapter.
Then the wording that was left out is compared with what the model learns to meet, the catalogue's: is its own
relation's the nearest? Once for relations whose other wordings fitted the adapter, and once, in folds, for relations of
which it has seen nothing.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.adapted_pairs import pair_tables
from measuring.machine import commit
from zsre.relations.relation import Relation, without_ends
from zsre.trainer.config import AdapterConfig, TextConfig, read_config
from zsre.trainer.folds import FOLDS, deal_folds
from zsre.trainer.relation_adapter import fit_adapter
from zsre.trainer.relation_table import RelationEncoder, RelationTable, build_table
from zsre.trainer.setup import load_texts

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "configs" / "shipped.yaml"
PAGE: Final = "wordings.md"
LEFT_OUT: Final = tuple(f"wordings/train-{number}.yaml" for number in (1, 2, 3, 4))
SETTINGS: Final = (
    None,
    *(AdapterConfig(ridge, width) for width in (0.1, 0.15, 0.2, 0.4) for ridge in (0.01, 0.03, 0.1)),
)
COUNT: Final = 5
_SEED: Final = 13
_SCALE: Final = np.float32(np.sqrt(3))
logger = logging.getLogger(__name__)
#: How the wording that was left out describes relations.
VARIANTS: Final[Mapping[str, Callable[[Relation], Relation]]] = {
    "whole": lambda relation: relation,
    "without ends": without_ends,
}
INTRODUCTION: Final = """\
# Wordings

What other wordings of a relation are taken for, by relation texts alone: `python -m experiments.wordings --run RUN`,
{date}, commit {commit}, on the {count} relations of the catalogue. Of the sources of
[configs/shipped.yaml](../configs/shipped.yaml), one file of wordings at a time is left out, and its wordings are
compared with the catalogue's own. *Similarity* is that to the relation's own, *nearest* the share for which this is
nearer than that of any other relation, in percent. *Known*: the adapter was fitted to the relation's other wordings.
*Unknown*: it was fitted to other relations alone, in {folds} folds. *Without ends*: name and description only, neither
terms nor types.
"""


@dataclass(frozen=True)
class Found:
    """How near wordings come to the targets of their relations."""

    similarity: float
    nearest: float


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.wordings", description="Write results/wordings.md.")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="a run that was calibrated by folds")
    run = parser.parse_args(argv).run
    if not (run / FOLDS).is_dir():
        parser.error(f"{run}: holds no {FOLDS}/, so it was not calibrated by folds")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    config = read_config(CONFIG)
    encoder = RelationEncoder(config.relation_encoder_name)
    tables = []
    count = 0
    for left_out in LEFT_OUT:
        rest = [source for source in config.texts.sources if source != left_out]
        texts, wording = load_texts(rest), {key: each[0] for key, each in load_texts([left_out]).items()}
        ids = sorted(texts.keys() & wording.keys())
        table = build_table(ids, [texts[own] for own in ids], encoder, config.model.alpha, torch.device("cpu"))
        logger.info("%s: %d relations", left_out, len(ids))
        count = len(ids)
        tables += [f"## {left_out} left out\n", *rows(table, config.texts, [wording[own] for own in ids], encoder), ""]
    tables += pair_tables(run, LEFT_OUT, f"python -m experiments.wordings --run {run}")
    page = ROOT / "results" / PAGE
    introduction = INTRODUCTION.format(date=datetime.now(UTC).date(), commit=commit(), count=count, folds=COUNT)
    page.write_text("\n".join([introduction, *tables]).rstrip() + "\n", encoding="utf-8")
    logger.info("%s", page)


def rows(
    table: RelationTable, texts: TextConfig, wording: Sequence[Relation], encoder: RelationEncoder
) -> Iterator[str]:
    """Yield the lines of a table, one for each of `SETTINGS`."""
    cells = [f"{variant}, {kind}: {figure}" for kind in ("known", "unknown") for variant in VARIANTS
             for figure in ("similarity", "nearest")]  # fmt: skip
    yield "| ridge, width | " + " | ".join(cells) + " |"
    yield "| --- |" + " --- |" * len(cells)
    targets = table.target(texts)
    # With all parts weighing the same, blocks are unit vectors scaled by one number.
    vectors = [encoder.blocks([vary(own) for own in wording], 1 / 3) * _SCALE for vary in VARIANTS.values()]
    for setting in SETTINGS:
        found = [*known(table, vectors, targets, setting), *unknown(table, vectors, targets, setting)]
        yield _row("no adapter" if setting is None else f"{setting.ridge}, {setting.width}", found)


def known(
    table: RelationTable, vectors: Sequence[NDArray[np.float32]], targets: Tensor, setting: AdapterConfig | None
) -> list[Found]:
    """Compare wordings (R, 3, D) with an adapter that was fitted to the same relations."""
    adapter = None if setting is None else fit_adapter(table, targets, setting)
    everything = np.arange(len(table.ids))
    adapted = [each if adapter is None else adapter.adapted(each) for each in vectors]
    return [compare(each, everything, targets.numpy()) for each in adapted]


def unknown(
    table: RelationTable, vectors: Sequence[NDArray[np.float32]], targets: Tensor, setting: AdapterConfig | None
) -> list[Found]:
    """Compare wordings with adapters that were fitted to none of the relations compared, nor to their equivalents."""
    if setting is None:
        return known(table, vectors, targets, None)
    place = {own: index for index, own in enumerate(table.ids)}
    adapted = [np.empty_like(each) for each in vectors]
    for fold in deal_folds(table.ids, COUNT, _SEED):
        own = np.asarray([place[relation] for relation in fold])
        others = np.setdiff1d(np.arange(len(table.ids)), own)
        rest = replace(
            table,
            ids=tuple(table.ids[index] for index in others),
            phrasings=table.phrasings[:, :, others],
            counts=table.counts[others],
        )
        adapter = fit_adapter(rest, targets[others], setting)
        for whole, each in zip(adapted, vectors, strict=True):
            whole[own] = adapter.adapted(each[own])
    return [compare(each, np.arange(len(table.ids)), targets.numpy()) for each in adapted]


def compare(vectors: NDArray[np.float32], own: NDArray[np.int64], targets: NDArray[np.float32]) -> Found:
    """Compare unit vectors (N, 3, D) with all targets (R, 3, D), those of scaled blocks; ``own`` (N,) are their own."""
    lengths = np.linalg.norm(targets, axis=-1)
    similarities = np.einsum("nkd,rkd,rk->nr", vectors, targets, lengths)
    rows = np.arange(len(own))
    mine = similarities[rows, own]
    similarities[rows, own] = -np.inf
    return Found(float(mine.mean()), float((mine > similarities.max(1)).mean()))


def _row(title: str, found: Sequence[Found]) -> str:
    return f"| {title} | " + " | ".join(f"{each.similarity:.3f} | {100 * each.nearest:.1f}" for each in found) + " |"


if __name__ == "__main__":
    main()
