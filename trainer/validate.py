"""Scoring labelled pairs with the torch model, as validation between epochs and for run directories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from zsre.relations.metrics import ClassificationReport, classification_report
from zsre.relations.tokens import TokenRow, TokenSettings, encoder_inputs, token_rows
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.trainer.model import SentenceModel

BATCH_ROWS = 64


@torch.inference_mode()
def encode_pairs(
    model: SentenceModel,
    tokenizer: Tokenizer,
    settings: TokenSettings,
    sentences: Sequence[PairSentence],
) -> PairVectors:
    """Encode all pairs of sentences with the torch model, rows of like length together."""
    model.eval()
    device = next(model.parameters()).device
    found = token_rows(sentences, tokenizer, settings)
    order = sorted(range(len(found.rows)), key=lambda row: len(found.rows[row].ids))
    width = int(model.encoder.config.hidden_size)
    mentions = [np.empty((0, width), dtype=np.float16)]
    contexts = [np.empty((0, width), dtype=np.float16)]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    kept: list[int] = []
    base = 0
    for begin in range(0, len(order), BATCH_ROWS):
        rows: list[TokenRow] = [found.rows[index] for index in order[begin : begin + BATCH_ROWS]]
        inputs = encoder_inputs(rows, settings.pad_id)
        tensors = (inputs.input_ids, inputs.attention_mask, inputs.mentions, inputs.pairs)
        output = model(*(torch.from_numpy(array).to(device) for array in tensors))
        mentions.append(output.mention_vectors_MD.cpu().numpy().astype(np.float16))
        contexts.append(output.context_vectors_PD.cpu().numpy().astype(np.float16))
        pairs.append(inputs.pairs + base)
        kept.extend(position for row in rows for position in row.pair_positions)
        base += len(inputs.mentions)
    ascending = np.argsort(np.asarray(kept, dtype=np.int64), kind="stable")
    return PairVectors(
        np.concatenate(mentions),
        np.concatenate(contexts)[ascending],
        np.concatenate(pairs)[ascending],
        np.asarray(kept, dtype=np.int64)[ascending],
        found.too_long,
        found.no_tokens,
        found.cut_sentences,
    )


def validate(
    model: SentenceModel,
    tokenizer: Tokenizer,
    settings: TokenSettings,
    examples: tuple[Sequence[PairSentence], Sequence[str]],
    relations: Sequence[str],
    relation_vectors: NDArray[np.float32],
) -> ClassificationReport:
    """Measure classification among ``relations`` on sentences of one pair each."""
    sentences, gold = examples
    vectors = encode_pairs(model, tokenizer, settings, sentences)
    best = vectors.similarities(relation_vectors).sum(-1).argmax(-1)
    predicted = [relations[index] for index in best]
    return classification_report([gold[index] for index in vectors.kept], predicted)
