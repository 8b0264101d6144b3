"""An export isn't finished until the runner's scorer gives what the torch model gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from zsre.exporter.precision import Precision
from zsre.relations.catalogue import load_relations
from zsre.relations.errors import ModelError
from zsre.relations.examples import Mention
from zsre.relations.relation import RelationSet
from zsre.relations.tokens import encoder_inputs, token_rows
from zsre.relations.vectors import PairSentence
from zsre.runner.engine import load_engine
from zsre.trainer.relation_table import RelationEncoder, without_ends
from zsre.trainer.setup import TrainedRun

#: The largest difference of a vector's element that an export may show: far above what storing weights small costs,
#: far below what a graph that computes something else shows. The check runs on a CPU, also of what is for CUDA.
LIMITS: Final[Mapping[Precision, float]] = {
    "fp32": 1e-4,
    "fp16": 2e-3,
    "int8": 5e-2,
    "cuda-fp16": 5e-3,
    "dynamic-int8": 1e-1,
}
#: Relations of the catalogue that are compared.
RELATIONS: Final = 40


@dataclass(frozen=True)
class Parity:
    """Largest differences between exported file and torch model: of mention, context and relation vectors."""

    mentions: float
    contexts: float
    relations: float
    sentences: int

    @property
    def largest(self) -> float:
        """Return the largest of the three."""
        return max(self.mentions, self.contexts, self.relations)


#: Real sentences of different length and number of entities; ``[[ ]]`` encloses a mention.
SENTENCES = (
    "[[Marie Curie]] was born in [[Warsaw]] and worked in [[Paris]] with her husband [[Pierre]].",
    "[[Nokia]] moved its headquarters from [[Helsinki]] to [[Espoo]].",
    "The [[Danube]] rises in the [[Black Forest]] and flows through [[Vienna]], [[Budapest]] and [[Belgrade]] "
    "before it reaches the [[Black Sea]].",
    "[[Kaurismäki]] directed «[[Le Havre]]».",
    "After the war the regiment, which [[Colonel Aylmer]] had led since [[1809]], was disbanded at [[Dublin]] "
    "and its men were sent home without pay, as the records of the [[War Office]] show.",
)


def check_parity(run: TrainedRun, encoder: RelationEncoder, model: Path, precision: Precision) -> Parity:
    """Compare the exported file, through the runner, with the torch model.

    Raises ModelError if they differ by more than the precision explains.
    """
    sentences = [mark_up(text) for text in SENTENCES]
    engine = load_engine(model, "cpu")
    rows = token_rows(sentences, run.tokenizer, run.tokens).rows
    inputs = encoder_inputs(rows, run.tokens.pad_id)
    arrays = (inputs.input_ids, inputs.attention_mask, inputs.mentions, inputs.pairs)
    with torch.inference_mode():
        output = run.model(*(torch.from_numpy(array) for array in arrays))
    exact = engine.run_graph(inputs)
    known = load_relations("wikidata").relations[:RELATIONS]
    # In full, where an adapter moves them little, and with their ends left out, where it moves them much.
    asked = (known, tuple(without_ends(relation) for relation in known))
    torch_relations = encoder.blocks([*asked[0], *asked[1]], run.config.model.alpha)
    found = np.concatenate([engine.relation_vectors(RelationSet(relations)) for relations in asked])
    parity = Parity(
        mentions=_largest(exact[0], output.mention_vectors_MD.numpy()),
        contexts=_largest(exact[1], output.context_vectors_PD.numpy()),
        relations=_largest(found, torch_relations),
        sentences=len(sentences),
    )
    limit = LIMITS[precision]
    if not parity.largest <= limit:
        raise ModelError(
            f"{model}: differs from the torch model by {parity.largest:.1e}, and {precision} explains no more than "
            f"{limit:.0e}, so do not use it"
        )
    return parity


def mark_up(text: str) -> PairSentence:
    """Read mentions from ``[[ ]]`` and pair all of them in both orders."""
    mentions: list[Mention] = []
    plain = ""
    for piece in text.split("[["):
        inside, closed, after = piece.partition("]]")
        if closed:
            mentions.append(Mention(len(plain), len(plain) + len(inside)))
        plain += inside + after
    count = range(len(mentions))
    return PairSentence(plain, tuple(mentions), tuple((head, tail) for head in count for tail in count if head != tail))


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())
