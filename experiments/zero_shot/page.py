"""The page results/zero-shot.md, made from the log of `python -m experiments.zero_shot` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from experiments.records import read_lines
from experiments.zero_shot.rules import RULES

PAGE: Final = "zero-shot.md"
FIGURES: Final = "figures"
BASELINE: Final = next(iter(RULES))
DPI: Final = 120
COLUMNS: Final = (
    "rule", "P", "R", "F1", "of reachable: R", "F1", "macro P", "R", "F1", "best F1", "R at P 70", "P at R 40",
    "F1 / first",
)  # fmt: skip
Line = Mapping[str, Any]
#: Sets with candidates of their own, as the page calls them.
TITLES: Final = {
    "redocred-test-evidence-given": "Re-DocRED test, entities given, labels whose evidence is the sentence",
    "redocred-test-labels-given": "Re-DocRED test, entities given, all labels",
    "redocred-test-evidence-spacy": "Re-DocRED test, spaCy's entities, labels whose evidence is the sentence",
    "redocred-test-labels-spacy": "Re-DocRED test, spaCy's entities, all labels",
    "knowledgenet-both": "KnowledgeNet, spaCy's entities and the facts' arguments",
    "knowledgenet-spacy": "KnowledgeNet, spaCy's entities alone",
}
INTRODUCTION: Final = """\
# Triples of unseen relations

What comes out of plain text for relations that a model has not seen under any name, measured by
`python -m experiments.zero_shot` and rendered by it from [zero-shot.jsonl](zero-shot.jsonl). The seen relations are
dealt into folds; each fold's model was trained without the relations of its fold (and what is the same under another
name), and every relation here is scored by such a model. The models have seen neither Re-DocRED's test documents, nor
KnowledgeNet, nor SemEval, nor the test half of the contrast pairs. Entity types mask what cannot be, a symmetric
relation comes out once, and of inverses the better one, whatever the rule. Texts are not held out with relations: a
sentence whose relation is of the fold's may have served to train the fold's model for what else is in it, and so may a
clause that was made of it and left open ([contrast](../contrast/README.md#more-of-them-made)), as a pair that states
none of the other relations.

A rule's parameters and its cut (where F1 is highest) come from Re-DocRED's dev documents and from relations of *other*
folds than the one that is measured. Those documents were trained on, though not with these relations. A rule that
learns (the last two of the list below) is fitted to the same candidates as its cut, on which it looks better than
elsewhere: what its cut does to it, "best" shows. All figures are in percent. "Of reachable" has recall over the facts
whose two arguments are mentions of one sentence. "Best" is what the rule could do with the cut that suits the set best.
"R at P 70" is the recall where precision is 70, "P at R 40" the precision where recall is 40, and "F1 / first" the F1
over that of the first rule.

KnowledgeNet's 15 relations stand for 19 of Wikidata's: a child's parent is a father or a mother, who is employed may
be a member, and a subsidiary reads both ways. Where the set doesn't say which, a triple counts neither as right nor as
wrong. Its facts are counted once a passage and pair, those with a pronoun as often as they are labelled.

The study [arXiv 2603.01266](https://arxiv.org/abs/2603.01266) finds prototypes better than thresholds at saying
nothing. Whether they are here stands in the last column of the rules with prototypes.

The rules give each candidate, a pair and a relation whose types fit, a score:

- *one threshold*: its similarity, the same cut for all relations;
- *a threshold for each relation*: how many deviations it lies above the mean of its relation over unlabelled text;
- *margin to the runner-up*: how far it lies above the pair's best other relation;
- *prototypes of nothing*: how far it lies above the pair's similarity to the likeliest of some vectors that stand for
  no relation at all, encoded from texts that say so, or learned from pairs that state nothing;
- *weighed*: similarity, margin and both of these, by logistic regression;
- *rejection head*: boosted trees over the same, the parts of the similarity, and what else is known of the candidate.
"""


def render(log: Path) -> Path:
    """Write the page beside the log, with its figures; return its path."""
    lines = latest(read_lines(log))
    folder = log.parent
    text = [INTRODUCTION]
    if lines:
        newest = max(lines.values(), key=lambda line: str(line["date"]))
        text.append(f"Last measured {newest['date'][:10]}, on {newest['device']}.\n")
    for name, title in TITLES.items():
        text += _rules_section(name, title, lines, folder)
    text += _contrast_section(lines.get(("contrast", None)))
    text += _semeval_section(lines.get(("semeval", None)))
    text += _unstated_section(lines.get(("unstated", None)))
    page = folder / PAGE
    page.write_text("\n".join(text), encoding="utf-8")
    return page


def latest(lines: Sequence[Line]) -> dict[tuple[str, str | None], Line]:
    """Return the last line of each set and rule; calibration stands under the rule ``calibration``.

    Only of the models that were measured last: what others gave is no part of the same page.
    """
    models = max(lines, key=lambda line: str(line["date"]))["models"] if lines else None
    own = [line for line in lines if line["models"] == models]
    return {(line["set"], "calibration" if "calibration" in line else line.get("rule")): line for line in own}


def _rules_section(name: str, title: str, lines: Mapping[tuple[str, str | None], Line], folder: Path) -> list[str]:
    found = {rule: lines[name, rule] for rule in RULES if (name, rule) in lines}
    text = [f"## {title}\n"]
    if not found:
        return [*text, "not run\n"]
    first = next(iter(found.values()))
    left_out = "".join(f"; left out: {count:,} facts with {why}" for why, count in first["left_out"].items())
    left_out += f"; {first['shared']:,} texts share a sentence with what was trained on, and are left out"
    text.append(
        f"{first['relations']} relations, {first['facts']:,} facts, {first['reachable']:,} of them reachable, "
        f"{first['candidates']:,} candidates{left_out}.\n"
    )
    text += ["| " + " | ".join(COLUMNS) + " |", "| --- |" * len(COLUMNS)]
    base = found.get(BASELINE, first)["written"]["f1"]
    for rule, line in found.items():
        written, reachable = line["written"], line["written_reachable"]
        precision_40 = line["precision_at_recall_40"]
        cells = (
            f"{written['precision']:.1f}", f"{written['recall']:.1f}", f"{written['f1']:.1f}",
            f"{reachable['recall']:.1f}", f"{reachable['f1']:.1f}",
            *(f"{line['macro'][name]:.1f}" for name in ("precision", "recall", "f1")),
            f"{line['best_shift']['f1']:.1f}", f"{line['recall_at_precision_70']:.1f}",
            "never" if precision_40 is None else f"{precision_40:.1f}", f"{written['f1'] / base:.2f}" if base else "",
        )  # fmt: skip
        text.append(f"| {rule} | " + " | ".join(cells) + " |")
    text.append(f"\n![precision over recall]({FIGURES}/{_draw_curves(name, title, found, folder).name})\n")
    if (name, "calibration") in lines:
        text += _calibration(name, lines[name, "calibration"]["calibration"], folder)
    return text


def _calibration(name: str, found: Mapping[str, Line], folder: Path) -> list[str]:
    def figures(prefix: str) -> str:
        return "; ".join(
            f"{found[prefix + which]['error']:.1f} over {what} {found[prefix + which]['candidates']:,}"
            for which, what in (("all", "all"), ("likely", "those that score 0.1 or more,"))
            if prefix + which in found
        )

    return [
        f"Expected calibration error of scores fitted on other folds: {figures('')} candidates. Of the calibration "
        f"that the model itself has, fitted to Re-DocRED's test documents: {figures('stored_')}.\n",
        f"![reliability]({FIGURES}/{_draw_reliability(name, found['all'], folder).name})\n",
    ]


def _contrast_section(line: Line | None) -> list[str]:
    text = ["## Contrast pairs, test half\n"]
    if line is None:
        return [*text, "not run\n"]
    kinds = ", ".join(f"{kind} {share:.0f}" for kind, share in line["by_kind"].items())
    return [
        *text,
        f"{line['pairs']} pairs of sentences with the same words, of which one states the relation: that one scores "
        f"higher in **{line['ordered_right']:.1f}** ({kinds}). By the default threshold, "
        f"{line['states_written']:.1f} of the sentences that state it are written, and {line['silent_written']:.1f} of "
        "those that don't. Counting words orders half of them right, as both sentences have the same ones.\n",
    ]


def _semeval_section(line: Line | None) -> list[str]:
    text = ["## SemEval-2010 Task 8, test file with Other\n"]
    if line is None:
        return [*text, "not run\n"]
    rows = [
        ("the default threshold", line["written"]),
        ("the threshold that suits this set best", line["best_threshold"]),
        ("none: Other is never said", line["without_other"]),
    ]
    text.append(
        f"{line['sentences']:,} sentences ({line['shared']} more were trained on), nine relations in two directions; "
        "macro figures by the rules of the official scorer, worked out here; a test compares them with ones that it "
        "printed.\n"
    )
    text += ["| threshold | P | R | F1 | recall of Other |", "| --- | --- | --- | --- | --- |"]
    for what, found in rows:
        cells = (found["precision"], found["recall"], found["f1"], found["other_recall"])
        text.append(f"| {what} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    return [*text, ""]


def _unstated_section(line: Line | None) -> list[str]:
    text = ["## Relations that nobody states\n"]
    if line is None:
        return [*text, "not run\n"]
    lower = ", ".join(f"{share:.2f} from score {threshold:g} on" for threshold, share in line["at_lower_thresholds"])
    return [
        *text,
        f"{line['relations']} relations ([unstated.yaml](../experiments/zero_shot/unstated.yaml)) that none of "
        f"{line['sentences']:,} sentences of Re-DocRED's test documents states, though their types fit "
        f"{line['pairs_that_fit']:.0f} % of their pairs: the run itself writes {line['triples']} triples, "
        f"**{line['triples_per_100_sentences']:.2f}** per 100 sentences ({lower}). Its calibration was fitted to the "
        "same documents.\n",
    ]


def _draw_curves(name: str, title: str, found: Mapping[str, Line], folder: Path) -> Path:
    """Draw precision over recall, a line for each rule."""
    series = []
    for rule, line in found.items():
        _, precision, recall = zip(*line["curve"], strict=True)
        series.append((rule, recall, precision))
    return _draw(folder / FIGURES / f"zero-shot-{name}.png", title, ("recall", "precision"), series)


def _draw_reliability(name: str, found: Line, folder: Path) -> Path:
    """Draw the share that is right over the mean score, with the line that scores should lie on."""
    rows = found["reliability"]
    series = [
        ("calibrated on other folds", [row[0] for row in rows], [row[1] for row in rows]),
        ("perfect", [0, 1], [0, 1]),
    ]
    return _draw(folder / FIGURES / f"zero-shot-{name}-reliability.png", "", ("score", "share that is right"), series)


def _draw(
    path: Path, title: str, axes_names: tuple[str, str], series: Sequence[tuple[str, Sequence[float], Sequence[float]]]
) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    canvas, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for label, x, y in series:
        axes.plot(x, y, label=label, marker=".", markersize=3)
    axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1], xlim=(0, None), ylim=(0, 1))
    axes.title.set_fontsize("small")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(canvas)
    return path
