"""The paper's tables with its figures beside those measured here, as lines of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Final

from experiments.plan import (
    ABLATIONS,
    AUGMENTATIONS,
    COMPARED_M,
    DATASETS,
    FOLDS,
    HALVES,
    HALVES_M,
    MAIN,
    PROFILES,
    UNSEEN,
    Cell,
    choice_cells,
    compared_cells,
    main_cells,
)
from experiments.records import Result, Results
from experiments.summary import Mean, mean_of, measured, published, whole_figures, whole_relations

NOT_RUN: Final = "not run"
TITLES: Final = {
    "sdzre": "SDZRE",
    "re_matching": "RE-Matching",
    "without_contrast": "w/o Ctr.",
    "without_distiller": "w/o Bid.",
    "random_negatives": "w/o Mult.",
    "hard_negatives": "w/o Semi.",
    "ranked_negatives": "the paper's negatives and margins",
    "published_texts": "published relation texts",
    "augment_dropout_mask": "Dropout + Random mask",
    "augment_dropout_cutoff": "Dropout + Feature cutoff",
    "projection_only": "Fusion projection distiller",
    "selector_only": "Gaussian adaptive selector",
    "whole_more_relations": "with Wiki-ZSL's relations seen as well",
    "two_epochs": "two epochs",
    "three_epochs": "three epochs",
    "more_examples": "twice the examples, one epoch",
    "paper_parts": "SDZRE with the paper's markers, loss and relation texts",
    "more_relations": "with Wiki-ZSL's relations seen as well",
    "own_negatives": "the same, negatives from a pair's own data set alone",
    "lessons": "with the lessons' relations seen as well, own negatives",
    "what_helped": "with Wiki-ZSL's relations seen as well, own negatives, twice the examples, α = 0.4",
    "mpnet": "with all-mpnet-base-v2 in place of MiniLM",
    "sampled_texts": "zsre's and the published relation texts, one drawn at each step",
    "ranked_seen": "the paper's margins, against all seen relations",
    "softmax_batch": "softmax over the batch's relations",
    "sharp_softmax": "softmax with τ 0.02",
    "soft_softmax": "softmax with τ 0.1",
    "far_negatives": "relations of near meaning are no negatives",
    "reversed_pairs": "reversed pairs are negatives",
    "level": "with the level loss",
    "pair_softmax": "with a softmax over the pairs of the batch",
    "interaction": "with an interaction of the two ends",
    "fast_encoder": "the encoder at 5e-5",
    "faster_encoder": "the encoder at 1e-4",
    "one_rate": "new layers at the encoder's 2e-5",
    "frozen_layers": "the lower three layers frozen",
    "trained_embeddings": "embeddings are trained",
    "value_gaussian": "Gaussian over key values",
    "attended_only": "projection only, without reverse attention",
    "contrast_positive": "other examples of a relation are positives",
    "contrast_ignore": "other examples of a relation are no negatives",
    "contrast_states": "token states are augmented, not contexts",
    "contrast_warm": "contrast with τ 0.5",
    "marked": "markers, one row for each pair",
    "max_pooling": "entities pooled by maximum",
    "heavy_entities": "α = 0.4: the context weighs 0.2",
    "small_batch": "batches of 16",
    "averaged_weights": "the mean of the weights over the last quarter of the steps",
}
#: What an experiment is called among choices, if its title elsewhere would not say it there.
CHOICE_TITLES: Final = {
    "sdzre": "the profile as it is",
    "without_contrast": "no contrast",
    "projection_only": "projection only",
    "selector_only": "selector only",
    "without_distiller": "no distiller",
}
Lines = list[str]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """Return a table, which a blank line ends."""
    body = [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
    return [*body, ""]


def table1(profile: str, results: Results) -> Lines:
    """Return Table 1, the main results."""
    columns = ["m", "method", "FewRel P", "R", "F1", "runs", "Wiki-ZSL P", "R", "F1", "runs"]
    rows = []
    for m in UNSEEN:
        for method, figures in published()["table1"][m].items():
            cells = [[*map(_figure, figures[dataset]), ""] for dataset in DATASETS]
            rows.append([str(m), f"{method}, published", *cells[0], *cells[1]])
        for experiment in reversed(MAIN):
            means = [mean_of(main_cells(profile, experiment, dataset, m), results) for dataset in DATASETS]
            rows.append([str(m), f"**{TITLES[experiment]}, here**", *_cells(means[0]), *_cells(means[1])])
        for experiment in PROFILES[profile].beyond:
            mean = mean_of(main_cells(profile, experiment, "fewrel", m), results)
            rows.append([str(m), f"**{TITLES[experiment]}, here**", *_cells(mean), *([""] * 4)])
    return table(columns, rows)


def in_full(profile: str, results: Results) -> Lines:
    """Return what is behind the rows of Table 1 that were measured here."""
    columns = ["data", "m", "experiment", "runs", "F1", "spread of F1", "scikit-learn macro F1", "test pairs a run"]
    rows = []
    beyond = [(experiment, "fewrel", m) for m in UNSEEN for experiment in PROFILES[profile].beyond]
    for experiment, dataset, m in _main_rows() + beyond:
        found = measured(cells := main_cells(profile, experiment, dataset, m), results)
        row = [DATASETS[dataset].title, str(m), TITLES[experiment]]
        if mean := mean_of(cells, results):
            sklearn = _figure(fmean(result.line["sklearn_macro_f1"] for result in found))
            row += [mean.behind, _figure(mean.f1), _spread(mean), sklearn, _range(_pairs(found))]
        else:
            row += ["", NOT_RUN, "", "", ""]
        rows.append(row)
    return table(columns, rows)


def whole_of_wikizsl(profile: str, results: Results) -> Lines:
    """Return the figures over the whole relations of Wiki-ZSL beside those over all that were tested."""
    columns = ["m", "experiment", "runs", "relations", "test pairs a run", "F1"]
    columns += ["whole relations", "pairs of these", "F1 over these"]
    rows = []
    for experiment, dataset, m in _main_rows():
        if dataset != "wikizsl":
            continue
        found = measured(cells := main_cells(profile, experiment, dataset, m), results)
        whole = list(filter(None, (whole_figures(result.line, whole_relations()) for result in found)))
        row = [str(m), TITLES[experiment]]
        if (mean := mean_of(cells, results)) and whole:
            row += [mean.behind, str(m), _range(_pairs(found)), _figure(mean.f1)]
            row += [_range([one.relations for one in whole]), _range([one.pairs for one in whole])]
            row += [_figure(fmean(one.f1 for one in whole))]
        else:
            row += ["", "", "", NOT_RUN, "", "", NOT_RUN]
        rows.append(row)
    return table(columns, rows)


def table2(profile: str, results: Results) -> Lines:
    """Return Table 2, the ablations."""
    rows = []
    for dataset, setting in DATASETS.items():
        for experiment in (*ABLATIONS, "sdzre", *PROFILES[profile].further):
            figures = published()["table2"][dataset].get(experiment, ())
            cells = compared_cells(profile, experiment, dataset, COMPARED_M)
            rows.append([setting.title, TITLES[experiment], *_beside(figures), *_cells(mean_of(cells, results), True)])
    return table(["data", "method", *_columns()], rows)


def table3(profile: str, results: Results) -> Lines:
    """Return Table 3, the pairs of augmentations."""
    columns = ["augmentations", "data", "published F1", "F1 here", "spread", "runs"]
    rows = []
    for experiment in (*AUGMENTATIONS, "sdzre"):
        title = "Random mask + Feature cutoff" if experiment == "sdzre" else TITLES[experiment]
        for dataset, setting in DATASETS.items():
            mean = mean_of(compared_cells(profile, experiment, dataset, COMPARED_M), results)
            figure = _figure(published()["table3"][experiment][dataset])
            rows.append([title, setting.title, figure, *_cells(mean, True)[2:]])
    return table(columns, rows)


def table4(profile: str, results: Results) -> Lines:
    """Return Table 4, the halves of the distiller."""
    rows = []
    for experiment in (*HALVES, "sdzre"):
        mean = mean_of(compared_cells(profile, experiment, "fewrel", HALVES_M), results)
        title = "Both" if experiment == "sdzre" else TITLES[experiment]
        rows.append([title, *_beside(published()["table4"][experiment]), *_cells(mean, True)])
    return table(["distiller", *_columns()], rows)


def table5(profile: str, results: Results) -> Lines:
    """Return Table 5, what training takes."""
    columns = ["method", "GPU memory", "GPU use", "memory", "CPU", "parameters", "training", "examples/s", "runs", "on"]
    rows = []
    for method, cost in published()["table5"].items():
        figures = [f"{cost['parameters']:.2f} M", f"{cost['minutes']:.2f} min"]
        rows.append([f"{method}, published", cost["gpu"], "", "", cost["cpu"], *figures, "", "", "RTX 3090"])
    for experiment in reversed(MAIN):
        cells = main_cells(profile, experiment, "fewrel", HALVES_M)
        # Runs that were interrupted were not watched as a whole.
        found = [result for result in measured(cells, results) if result.record["training"]]
        rows.append([f"**{TITLES[experiment]}, here**", *_costs(found, len(cells))])
    return table(columns, rows)


def table_of_choices(profile: str, results: Results) -> Lines:
    """Return what was compared on relations that no split tests, each with its difference from the profile.

    Differences are those of runs with the same fold and seed.
    """
    usual = choice_cells(profile, "sdzre")
    folds = [f"F1, fold {number}" for number in range(1, 1 + len(FOLDS))]
    columns = ["about", "setting", *folds, "F1", "difference", "smallest to largest", "runs"]
    topics = {"": ("sdzre",), **PROFILES[profile].choices}
    rows = []
    for topic, experiment in ((topic, name) for topic, names in topics.items() for name in names):
        cells = choice_cells(profile, experiment)
        row = [topic, CHOICE_TITLES.get(experiment, TITLES[experiment])]
        mean = mean_of(cells, results)
        if mean is None:
            rows.append([*row, *([""] * len(FOLDS)), NOT_RUN, "", "", ""])
            continue
        means = [mean_of([cell for cell in cells if cell.partition == fold], results) for fold in FOLDS]
        both = [(own, base) for own, base in zip(cells, usual, strict=True) if own in results and base in results]
        gains = [results[own].f1 - results[base].f1 for own, base in both] if experiment != "sdzre" else []
        row += [_figure(own.f1) if own else "" for own in means]
        # The mean of some folds says nothing beside that of all.
        row += [_figure(mean.f1) if all(means) else "", f"{fmean(gains):+.2f}" if gains else ""]
        rows.append([*row, f"{min(gains):+.2f} to {max(gains):+.2f}" if len(gains) > 1 else "", mean.behind])
    return table(columns, rows)


def counts(measurements: Counter[tuple[str, str]], results: Results) -> Lines:
    """Return how often each set of test relations was measured, and how often by the cells that tables show."""
    shown = Counter((result.line["data"], result.line["split"]) for result in results.values() if _on_test(result.cell))
    columns = ["data", "split", "measurements in the log", "of them shown above"]
    rows = [[data, split, str(count), str(shown[data, split])] for (data, split), count in sorted(measurements.items())]
    return table(columns, rows)


def _on_test(cell: Cell) -> bool:
    return cell.part == "test"


def _main_rows() -> list[tuple[str, str, int]]:
    return [(experiment, dataset, m) for dataset in DATASETS for m in UNSEEN for experiment in reversed(MAIN)]


def _columns() -> list[str]:
    return ["published P", "R", "F1", "P here", "R", "F1", "spread", "runs"]


def _cells(mean: Mean | None, spread: bool = False) -> list[str]:
    """Return precision, recall and F1, the spread of F1 if it is wanted, and the runs behind them."""
    if mean is None:
        return ["", "", NOT_RUN, *([""] if spread else []), ""]
    figures = [_figure(mean.precision), _figure(mean.recall), _figure(mean.f1)]
    return [*figures, *([_spread(mean)] if spread else []), mean.behind]


def _beside(figures: Sequence[float]) -> list[str]:
    return [_figure(figure) for figure in figures] or ["", "", ""]


def _costs(found: Sequence[Result], wanted: int) -> list[str]:
    if not found:
        return ["", "", "", "", "", NOT_RUN, "", "", ""]

    def mean(value: Callable[[Result], float | None], form: str) -> str:
        values = [number for number in map(value, found) if number is not None]
        return form.format(fmean(values)) if values else ""

    return [
        mean(lambda result: result.record["training"]["gpu_memory"], "{:,.0f} MB"),
        mean(lambda result: result.record["training"]["gpu_use"], "{:.0f}%"),
        mean(lambda result: result.record["training"]["memory"], "{:,.0f} MB"),
        mean(_cpu_use, "{:.0%}"),
        mean(lambda result: result.record["parameters"] / 1e6, "{:.2f} M"),
        mean(lambda result: result.record["training"]["seconds"] / 60, "{:.2f} min"),
        mean(lambda result: result.record["training"].get("examples_per_second"), "{:.0f}"),
        str(len(found)) if len(found) == wanted else f"{len(found)} of {wanted}",
        "; ".join(sorted({result.record["device"] for result in found})),
    ]


def _cpu_use(result: Result) -> float | None:
    """Return the share of one core that training took on average."""
    training = result.record["training"]
    return None if training["cpu_seconds"] is None else training["cpu_seconds"] / training["seconds"]


def _pairs(found: Iterable[Result]) -> list[int]:
    return [result.line["pairs"] for result in found]


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _figure(value: float) -> str:
    return f"{value:.2f}"


def _spread(mean: Mean) -> str:
    return "" if mean.spread is None else _figure(mean.spread)
