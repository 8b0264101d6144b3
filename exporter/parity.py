"""An export isn't finished until the runner's scorer gives what the model gives that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from zsre.exporter.precision import Precision
from zsre.relations.catalogue import load_relations
from zsre.relations.errors import ModelError
from zsre.relations.examples import Mention
from zsre.relations.relation import Relation, RelationSet, without_ends
from zsre.relations.tokens import EncoderInputs, TokenSettings, encoder_inputs, token_rows
from zsre.relations.vectors import PairSentence
from zsre.runner.engine import Engine, load_engine

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
    """Largest differences of an export from what it was made of: of mention, context and relation vectors."""

    mentions: float
    contexts: float
    relations: float
    sentences: int

    @property
    def largest(self) -> float:
        """Return the largest of the three; NaN if one is NaN, as `max` would not wherever it stands."""
        return float(np.max([self.mentions, self.contexts, self.relations]))


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


@dataclass(frozen=True)
class Outputs:
    """What a model makes of `SENTENCES` and `probe_relations`: (M, D), (P, D) and (R, 3, D)."""

    mentions: NDArray[np.float32]
    contexts: NDArray[np.float32]
    relations: NDArray[np.float32]


def probe_inputs(tokenizer: Tokenizer, tokens: TokenSettings) -> EncoderInputs:
    """Return the sentences that exports are compared on, as the graph reads them."""
    return encoder_inputs(token_rows([mark_up(text) for text in SENTENCES], tokenizer, tokens).rows, tokens.pad_id)


def probe_relations() -> tuple[Relation, ...]:
    """Return the relations that exports are compared on.

    In full, where an adapter moves them little, and with their ends left out, where it moves them much.
    """
    known = load_relations("wikidata").relations[:RELATIONS]
    return (*known, *map(without_ends, known))


def engine_outputs(engine: Engine, inputs: EncoderInputs) -> Outputs:
    """Return what an exported model makes of them."""
    known = probe_relations()
    # No two relations of a set may have one id.
    halves = known[:RELATIONS], known[RELATIONS:]
    relations = np.concatenate([engine.relation_vectors(RelationSet(own)) for own in halves])
    return Outputs(*engine.run_graph(inputs), relations)


def check_parity(model: Path, precision: Precision, inputs: EncoderInputs, expected: Outputs, of: str) -> Parity:
    """Compare an exported file, through the runner, with what it was made of, called ``of``.

    Raises ModelError if they differ by more than the precision explains.
    """
    found = engine_outputs(load_engine(model, "cpu"), inputs)
    parity = Parity(
        mentions=_largest(found.mentions, expected.mentions),
        contexts=_largest(found.contexts, expected.contexts),
        relations=_largest(found.relations, expected.relations),
        sentences=len(SENTENCES),
    )
    limit = LIMITS[precision]
    if not parity.largest <= limit:
        raise ModelError(
            f"{model.name}: differs from {of} by {parity.largest:.1e}, and {precision} explains no more than "
            f"{limit:.0e}, so it is refused"
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
