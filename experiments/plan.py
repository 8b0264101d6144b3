"""What is measured: every cell of the paper's tables and figures, as data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Part = Literal["test", "eval"]
UNSEEN: Final = (5, 10, 15)
SEED: Final = 13
GROUPS: Final = ("main", "ablations", "augmentation", "distiller", "sweeps", "choices", "beyond")


@dataclass(frozen=True)
class Cell:
    """One run and the part of its split that it is measured on; ``setting`` is what a sweep sets, ``FIELD=VALUE``."""

    profile: str
    experiment: str
    dataset: str
    m: int
    partition: str
    seed: int = SEED
    part: Part = "test"
    setting: str = ""

    @property
    def split(self) -> str:
        """Return the name of the published split."""
        return f"{self.m}_{self.partition}"

    @property
    def name(self) -> str:
        """Return what the run is called in the log, and where it lies under ``runs/``; no two cells share it."""
        parts = (self.dataset, self.split, self.experiment, self.setting, str(self.seed))
        return f"{self.profile}/{'-'.join(filter(None, parts))}{'-eval' if self.part == 'eval' else ''}"


@dataclass(frozen=True)
class Dataset:
    """A data set with its published partitions; comparisons that need one partition take the first."""

    title: str
    partitions: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A scale to run everything at.

    Comparisons (Tables 2 to 4) repeat each experiment with ``seeds`` on the first ``partitions``. ``margins`` is the
    experiment that has the paper's loss. ``further`` are rows of Table 2 that the paper does not have, ``beyond`` such
    rows of Table 1, on FewRel alone. ``choices`` are what settings were chosen from, by topic.
    """

    about: str
    seeds: tuple[int, ...]
    partitions: int
    margins: str
    further: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """A field whose values are compared on ``eval`` relations; ``usual`` is what every profile has."""

    field: str
    title: str
    values: tuple[float, ...]
    usual: float
    datasets: tuple[str, ...] = ("fewrel",)
    margins: bool = False


DATASETS: Final[Mapping[str, Dataset]] = {
    "fewrel": Dataset("FewRel", ("ori", "40", "41", "42", "43")),
    "wikizsl": Dataset("Wiki-ZSL", ("40", "41", "42", "43", "44")),
}
#: Settings are chosen on folds of FewRel's relations that no published split tests, with these seeds and so many pairs
#: of each relation.
FOLDS: Final = ("fold1", "fold2")
CHOICE_SEEDS: Final = (SEED,)
CHOICE_PAIRS: Final = 300
HELD_OUT: Final = 15
#: What is compared there, beside SDZRE as the profile has it, by topic.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "distiller": ("value_gaussian", "projection_only", "selector_only", "without_distiller", "attended_only"),
    "contrast": ("without_contrast", "contrast_positive", "contrast_ignore", "contrast_warm", "contrast_states"),
    "sentence side": ("marked", "max_pooling", "heavy_entities", "interaction"),
    "epochs and examples": ("two_epochs", "three_epochs", "more_examples"),
    "seen relations": ("more_relations", "own_negatives", "lessons"),
    "relation texts": ("published_texts", "sampled_texts"),
    "negatives": (
        "ranked_negatives", "ranked_seen", "softmax_batch", "sharp_softmax", "soft_softmax", "far_negatives",
        "reversed_pairs", "level", "pair_softmax",
    ),
    "learning": (
        "fast_encoder", "faster_encoder", "one_rate", "frozen_layers", "trained_embeddings", "small_batch",
        "averaged_weights",
    ),
    "together": ("what_helped",),
}  # fmt: skip
PROFILES: Final[Mapping[str, Profile]] = {
    "cpu": Profile(
        "MiniLM for sentences and relations, shared pairing, zsre's own relation texts, 150 examples a relation, one "
        "epoch, a softmax over all seen relations in place of margins",
        seeds=(13, 14, 15),
        partitions=1,
        margins="ranked_negatives",
        further=("ranked_negatives", "published_texts"),
        beyond=("paper_parts", "more_relations", "what_helped", "mpnet"),
        choices=CHOICES,
    ),
    "gpu": Profile(
        "all-mpnet-base-v2 for sentences and relations, otherwise as profile `cpu` with all examples and three epochs",
        seeds=(SEED,),
        partitions=5,
        margins="ranked_negatives",
        further=("ranked_negatives", "published_texts"),
        beyond=("paper_parts", "whole_more_relations"),
    ),
    "paper": Profile(
        "the paper's own settings: BERT-base, Sentence-BERT, markers, the published relation texts, all examples, five "
        "epochs",
        seeds=(SEED,),
        partitions=5,
        margins="sdzre",
    ),
}
SWEPT_SHARES: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
SWEPT_MARGINS: Final = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
SWEEPS: Final = (
    Sweep("ranking.hard_margin", "hard margin", SWEPT_MARGINS, 0.06, tuple(DATASETS), margins=True),
    Sweep("ranking.semi_hard_margin", "semi-hard margin", SWEPT_MARGINS, 0.0, tuple(DATASETS), margins=True),
    Sweep("contrast.temperature", "temperature of the contrast", (0.01, 0.03, 0.05, 0.07, 0.1, 0.2), 0.05),
    Sweep("contrast.mask", "masked share", SWEPT_SHARES, 0.15),
    Sweep("contrast.cutoff", "share cut off", SWEPT_SHARES, 0.2),
)
MAIN: Final = ("sdzre", "re_matching")
ABLATIONS: Final = ("without_contrast", "without_distiller", "random_negatives", "hard_negatives")
AUGMENTATIONS: Final = ("augment_dropout_mask", "augment_dropout_cutoff")
HALVES: Final = ("projection_only", "selector_only")
#: How many relations are unseen in Tables 2 and 3 and in sweeps, and in Table 4.
COMPARED_M: Final = 10
HALVES_M: Final = 15


def main_cells(profile: str, experiment: str, dataset: str, m: int) -> tuple[Cell, ...]:
    """Return the cells behind a row of Table 1: one for each partition."""
    return tuple(Cell(profile, experiment, dataset, m, partition) for partition in DATASETS[dataset].partitions)


def compared_cells(profile: str, experiment: str, dataset: str, m: int) -> tuple[Cell, ...]:
    """Return the cells behind a row of Tables 2 to 4."""
    settings = PROFILES[profile]
    return tuple(
        Cell(profile, experiment, dataset, m, partition, seed)
        for partition in DATASETS[dataset].partitions[: settings.partitions]
        for seed in settings.seeds
    )


def sweep_cells(profile: str, sweep: Sweep, dataset: str) -> dict[float, Cell]:
    """Return the cell of each value of a sweep; sweeps of one experiment share the cell of the usual values."""
    experiment = PROFILES[profile].margins if sweep.margins else "sdzre"
    partition = DATASETS[dataset].partitions[0]
    return {
        value: Cell(
            profile, experiment, dataset, COMPARED_M, partition,
            part="eval", setting="" if value == sweep.usual else f"{sweep.field}={value}",
        )
        for value in sweep.values
    }  # fmt: skip


def choice_cells(profile: str, experiment: str) -> tuple[Cell, ...]:
    """Return the cells of one setting on the folds that settings are chosen on."""
    return tuple(
        Cell(profile, experiment, "fewrel", HELD_OUT, fold, seed, "eval") for seed in CHOICE_SEEDS for fold in FOLDS
    )


def compared_choices(profile: str) -> tuple[str, ...]:
    """Return the experiments that a profile's settings are chosen from, first that which it has."""
    choices = PROFILES[profile].choices.values()
    return ("sdzre", *(name for names in choices for name in names)) if choices else ()


def fold_split(fold: str) -> str:
    """Return the name of the split of a fold, a file of configs/splits."""
    return Cell("", "", "fewrel", HELD_OUT, fold).split


def plan(profile: str, groups: Collection[str] = GROUPS, datasets: Collection[str] = tuple(DATASETS)) -> list[Cell]:
    """Return the cells of some groups of experiments, each once, in the order that they are run in."""
    chosen = (cell for group in GROUPS if group in groups for cell in _cells(profile, group))
    return [cell for cell in dict.fromkeys(chosen) if cell.dataset in datasets]


def _cells(profile: str, group: str) -> Iterator[Cell]:
    makers = {
        "main": _main,
        "ablations": lambda profile: _compared(profile, (*ABLATIONS, *PROFILES[profile].further)),
        "augmentation": lambda profile: _compared(profile, AUGMENTATIONS),
        "distiller": _halves,
        "sweeps": _swept,
        "choices": _choices,
        "beyond": _beyond,
    }
    return makers[group](profile)


def _main(profile: str) -> Iterator[Cell]:
    for experiment in MAIN:
        for dataset in DATASETS:
            for m in UNSEEN:
                yield from main_cells(profile, experiment, dataset, m)


def _beyond(profile: str) -> Iterator[Cell]:
    for experiment in PROFILES[profile].beyond:
        for m in UNSEEN:
            yield from main_cells(profile, experiment, "fewrel", m)


def _compared(profile: str, experiments: Sequence[str]) -> Iterator[Cell]:
    for dataset in DATASETS:
        for experiment in ("sdzre", *experiments):
            yield from compared_cells(profile, experiment, dataset, COMPARED_M)


def _halves(profile: str) -> Iterator[Cell]:
    for experiment in ("sdzre", *HALVES):
        yield from compared_cells(profile, experiment, "fewrel", HALVES_M)


def _swept(profile: str) -> Iterator[Cell]:
    for sweep in SWEEPS:
        for dataset in sweep.datasets:
            yield from sweep_cells(profile, sweep, dataset).values()


def _choices(profile: str) -> Iterator[Cell]:
    """Yield all choices with one seed before any with the next, so that there is something to compare early."""
    cells = (cell for experiment in compared_choices(profile) for cell in choice_cells(profile, experiment))
    yield from sorted(cells, key=lambda cell: cell.seed)
