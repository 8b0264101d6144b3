"""The loss plot of a run, drawn from its metrics."""

from __future__ import annotations

import json
from pathlib import Path


def plot_losses(directory: Path) -> None:
    """Draw ``loss.png`` from ``metrics.jsonl``: the loss parts over steps, and validation F1 where there is any."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line for line in lines if "total" in line]
    validations = [line for line in lines if "validation_f1" in line]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for part in ("total", "ranking", "contrast", "reverse", "level"):
        if any(line[part] for line in losses):
            axes.plot([line["step"] for line in losses], [line[part] for line in losses], label=part, linewidth=1)
    axes.set(xlabel="step", ylabel="loss", title=directory.name)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    if validations:
        right = axes.twinx()
        steps, scores = [line["step"] for line in validations], [100 * line["validation_f1"] for line in validations]
        right.plot(steps, scores, "k.--", label="validation F1")
        right.set(ylabel="validation F1 (%)", ylim=(0, 100))
    figure.savefig(directory / "loss.png", dpi=120)
    plt.close(figure)
