"""The page of results, results/experiments.md, made of the tables and figures of every profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from experiments.figures import FIGURES, draw_figures
from experiments.plan import CHOICE_PAIRS, COMPARED_M, HALVES_M, HELD_OUT, PROFILES, plan
from experiments.records import Results, count_measurements, read_results
from experiments.tables import (
    counts,
    in_full,
    table1,
    table2,
    table3,
    table4,
    table5,
    table_of_choices,
    whole_of_wikizsl,
)

PAGE: Final = "experiments.md"
FOLDER: Final = "figures"
OWN_LOSS: Final = """\
In this profile SDZRE has a softmax over relations for its loss. w/o Mult. and w/o Semi. are variants of the paper's
own loss, so they compare with the row that has it, not with SDZRE's.
"""
CHOICES: Final = """\
The profile's settings beside others, one change at a time. Nothing here is measured on a relation that any published
FewRel split tests: those that none does are dealt into two folds of {held_out}, and a model trained on 50 of the other
relations, most of which some split tests, classifies {pairs} pairs of each relation of the fold among these. A
difference is the mean over runs of the same fold and seed; those that lie within the spread of others are noise. Where
there are several epochs, the best was chosen on the same relations.
"""
BASELINE: Final = """\
Means over the partitions. RE-Matching here is made of SDZRE's parts, with one negative of the batch drawn at random.
RE-Matching's own code draws seven and takes the one that scores highest. One drawn at random is easier, so the row here
may be lower than the baseline deserves; [docs/paper.md](../docs/paper.md#the-baseline) has what else differs."""
COSTS: Final = """\
Here, means over runs of the whole of `zsre-train`, loading and validation included. GPU memory is the most in use at a
time and GPU use its mean utilisation, memory is the most that the process held, CPU in shares of one core; examples a
second are the median over steps, loading and validation aside. RE-Matching's parameters here include the layer of the
contrast, which it does not use: 147,840 with MiniLM, 590,592 with an encoder of 768."""
OWN_SETTINGS: Final = """\
In this profile SDZRE has the paper's parts but not its settings: its loss is a softmax over all seen relations, a
sentence is one row for all of its pairs, and relations are described in zsre's own words, which were written with
examples of each relation at hand, those that a split tests among them. RE-Matching has the same rows and words, but a
margin for its loss, so that the difference between the two is not of SDZRE's parts alone. The row with the paper's
markers, loss and relation texts, whose embeddings learn, has only its encoder, its examples, its epochs and its
learning rates of this profile; Table 2 has the loss and the texts one at a time.
"""
NOTES: Final = {"Table 1": OWN_SETTINGS, "Table 2": OWN_LOSS}
TSNE: Final = "pairs of unseen relations before and after training"
INTRODUCTION: Final = """\
# Experiments

The protocol of the paper's section 4, run and rendered by `python -m experiments`
([docs/training.md](../docs/training.md#experiments)). Everything below is made from
[test-runs.jsonl](test-runs.jsonl) and eval-runs.jsonl, the logs of `zsre-eval`, and from experiments.jsonl, which keeps
the whole configuration of each run and what it took. What was not run says so. m is how many relations are unseen,
among which a pair is classified. Figures are in percent: macro precision over the relations predicted at all, macro
recall, and their harmonic mean. Published figures are the paper's, with BERT-base, the mean of five partitions. "runs"
is how many runs stand behind a mean; the spread is their standard deviation.

Figs. 10 to 12 are on the five `eval` relations of each data set's first partition, m = {m}, one run a point. Where
there are several epochs, these relations choose the best of them too. Times of Fig. 9 are those that `zsre-eval` logs:
tokenising, encoding and comparing the test pairs. Runs may have shared a machine's processors with others, those of
Wiki-ZSL with one other, so that their times say little. Fig. 8 takes the weights of a run, and is drawn by `--tsne`.

As in the published protocol, relations are held out and sentences are not: of the test pairs, about 3 in 100 of
FewRel's and about 20 in 100 of Wiki-ZSL's stand in a sentence that training may use for another pair. `zsre-eval
--training-data` with the data set itself counts them, and leaves them out. The encoder trains in bf16 on processors
that multiply it in hardware, and in fp32 on others; newer records say which.
"""


def render(folder: Path) -> Path:
    """Write the page and draw its figures; return the page's path."""
    results = {profile: read_results(plan(profile), folder) for profile in PROFILES}
    lines = [INTRODUCTION.format(m=COMPARED_M)]
    for profile, found in results.items():
        lines += _profile(profile, found, folder)
    lines += _measurements(results, folder)
    path = folder / PAGE
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path


def _profile(profile: str, results: Results, folder: Path) -> list[str]:
    settings, total = PROFILES[profile], len(plan(profile))
    lines = [f"## Profile `{profile}`", "", f"{settings.about[0].upper()}{settings.about[1:]}.", ""]
    figures = draw_figures(profile, results, folder / FOLDER)
    if not results:
        command = f"python -m experiments --profile {profile}"
        return [*lines, f"None of {total} cells is measured. `{command}` runs them.", ""]
    lines += [f"{len(results)} of {total} cells are measured.", ""]
    repeated = "each with " + _seeds(profile)
    parts = (
        ("Table 1: main results", BASELINE, table1(profile, results)),
        ("Behind Table 1", "", in_full(profile, results)),
        (
            "Table 1 on the whole relations of Wiki-ZSL",
            "In the copy that is measured here, 46 relations are samples of 10 to 266 sentences. "
            "Pairs are classified among all m relations; "
            "the last column takes the means over those that are whole.",
            whole_of_wikizsl(profile, results),
        ),
        (f"Table 2: ablations, m = {COMPARED_M}", f"Here {repeated}.", table2(profile, results)),
        (f"Table 3: augmentations, m = {COMPARED_M}", f"Here {repeated}.", table3(profile, results)),
        (f"Table 4: distillers, FewRel, m = {HALVES_M}", f"Here {repeated}.", table4(profile, results)),
        (f"Table 5: costs, FewRel, m = {HALVES_M}", COSTS, table5(profile, results)),
    )
    for title, text, rows in parts:
        lines += [f"### {title} (profile `{profile}`)", "", *([text, ""] if text else [])]
        if settings.margins != "sdzre":
            lines += [note for table, note in NOTES.items() if title.startswith(f"{table}:")]
        lines += rows
    if settings.choices:
        lines += [f"### Choices (profile `{profile}`)", "", CHOICES.format(held_out=HELD_OUT, pairs=CHOICE_PAIRS)]
        lines += table_of_choices(profile, results)
    pictures = [(figure.number, figure.title, path) for figure, path in figures]
    pictures += [(8, TSNE, path) for path in sorted((folder / FOLDER).glob(f"tsne-{profile}-*.png"))]
    missing = sorted({(figure.number, figure.title) for figure in FIGURES} - {picture[:2] for picture in pictures})
    for number, title in missing:
        lines += [f"### Fig. {number}: {title} (profile `{profile}`)", "", "not run", ""]
    for number, title, path in sorted(pictures):
        lines += [f"### Fig. {number}: {title} (profile `{profile}`)", ""]
        lines += [f"![{title}]({path.relative_to(folder).as_posix()})", ""]
    return lines


def _seeds(profile: str) -> str:
    settings = PROFILES[profile]
    seeds = f"{len(settings.seeds)} seeds" if len(settings.seeds) > 1 else "one seed"
    return f"{seeds} on {'the first partition' if settings.partitions == 1 else f'{settings.partitions} partitions'}"


def _measurements(results: Mapping[str, Results], folder: Path) -> list[str]:
    shown = {cell: result for found in results.values() for cell, result in found.items()}
    text = "Every measurement on test relations is in the log, and is counted here, whatever was measured."
    return [
        "## How often test relations were measured",
        "",
        text,
        "",
        *counts(count_measurements(folder), shown),
    ]
