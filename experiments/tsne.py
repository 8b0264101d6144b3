"""Fig. 8: the pair vectors of unseen relations before and after training, brought to two dimensions by t-SNE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.relations.errors import DataError
from zsre.relations.splits import read_split
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.trainer.config import TrainConfig, find_data
from zsre.trainer.data import evaluation_pairs, read_sources
from zsre.trainer.encoders import load_sentence_encoder
from zsre.trainer.model import SentenceModel
from zsre.trainer.setup import load_texts
from zsre.trainer.trained_run import load_run
from zsre.trainer.validate import encode_pairs

RELATIONS: Final = 5
PER_RELATION: Final = 100
Points = NDArray[np.float32]


def draw_tsne(run_directory: Path, folder: Path) -> Path:
    """Draw the first unseen relations of a run's split, and return the picture's path. Nothing is scored."""
    run = load_run(run_directory)
    sentences, gold = unseen_pairs(run.config)
    panels = []
    for model in (untrained_model(run.config, len(run.facts.seen_relations)), run.model):
        vectors = encode_pairs(model, run.tokenizer, run.tokens, sentences)
        panels.append((in_two_dimensions(pair_vectors(vectors), run.config.seed), [gold[i] for i in vectors.kept]))
    names = {relation: found[0].name for relation, found in load_texts(run.config.texts.sources).items()}
    path = folder / f"tsne-{run.config.name.replace('/', '-')}.png"
    plot(panels, names, run.config, path)
    return path


def unseen_pairs(config: TrainConfig) -> tuple[list[PairSentence], list[str]]:
    """Return sentences of one pair each for the first test relations, and the relation that each states."""
    if config.split is None:
        raise DataError(f"{config.name}: was trained without a split, so nothing says which relations are unseen")
    relations = read_split(find_data(config.split)).test[:RELATIONS]
    return evaluation_pairs(read_sources(config.data), relations, PER_RELATION, config.seed)


def untrained_model(config: TrainConfig, seen_relations: int) -> SentenceModel:
    """Return the model as it is before its first step: a pretrained encoder under new layers."""
    torch.manual_seed(config.seed)
    encoder = load_sentence_encoder(config.encoder, config.model.pairing, config.max_tokens)
    return SentenceModel(encoder.model, config.model, seen_relations)


def pair_vectors(vectors: PairVectors) -> Points:
    """Return what is matched with a relation, (P, 3·D): head, tail and context."""
    mentions = vectors.mentions.astype(np.float32)
    head, tail = mentions[vectors.pairs[:, 0]], mentions[vectors.pairs[:, 1]]
    return np.concatenate([head, tail, vectors.contexts.astype(np.float32)], axis=1)


def in_two_dimensions(vectors: Points, seed: int) -> Points:
    """Return (P, 2)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    points: Points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    return points


def plot(
    panels: Sequence[tuple[Points, Sequence[str]]], names: dict[str, str], config: TrainConfig, path: Path
) -> None:
    """Draw the panels side by side, a colour for each relation."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for ax, title, (points, gold) in zip(axes, ("before training", "after training"), panels, strict=True):
        for relation in dict.fromkeys(sorted(gold)):
            own = points[[label == relation for label in gold]]
            ax.scatter(own[:, 0], own[:, 1], s=8, label=names.get(relation, relation))
        ax.set(title=title, xticks=[], yticks=[])
    figure.suptitle(f"Unseen relations, {config.name}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=RELATIONS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
