"""What an exported model says of itself; it travels as JSON in the metadata of both ONNX files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsre.relations.errors import ModelError
from zsre.relations.tokens import TokenSettings

CONTRACT_VERSION = 2
#: Version 1 is the same without the input `PARTS`.
READABLE_VERSIONS = (1, 2)
CONTRACT_KEY = "zsre.contract"
TOKENIZER_KEY = "zsre.tokenizer"
ROLE_KEY = "zsre.role"
#: The two files of a model: sentences with mentions and pairs to vectors, and texts to description vectors.
SENTENCES_ROLE, RELATIONS_ROLE = "sentences", "relations"
#: An input (N,) of the relations' graph in models that adapt relation vectors: what each text describes, 0 a head,
#: 1 a tail, 2 the relation itself.
PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns a similarity into the probability that a triple is right: σ(slope · similarity + intercept).

    ``threshold`` is the least probability at which a triple is written when nobody says otherwise. ``fitted_on``
    says what the figures come from.
    """

    slope: float
    intercept: float
    threshold: float = 0.5
    fitted_on: str = ""

    def probability(self, similarity: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities of the shape of ``similarity``."""
        logits = self.slope * similarity.astype(np.float64) + self.intercept
        probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60)))
        return probabilities


#: For a model that was never calibrated: similarity 0.5 reads as even odds, and nothing more is claimed.
UNCALIBRATED = Calibration(slope=10.0, intercept=-5.0, threshold=0.5, fitted_on="nothing: not calibrated")


@dataclass(frozen=True, slots=True)
class Contract:
    """A model's identity, the shape of its inputs and outputs, its calibration and what it has seen.

    ``dimension`` is D of one vector, so a pair vector holds 3·D numbers. ``seen_relations`` are the ids used
    in training, ``seen_data`` the data sets. ``fingerprint`` is a hash over weights and settings, the same in
    both files of a model.
    """

    name: str
    fingerprint: str
    dimension: int
    alpha: float
    tokens: TokenSettings
    calibration: Calibration
    precision: str
    encoder: str
    relation_encoder: str
    seen_relations: tuple[str, ...]
    seen_data: tuple[str, ...]
    version: int = CONTRACT_VERSION

    @property
    def pairing(self) -> str:
        """Return ``marked`` or ``shared``."""
        return self.tokens.pairing

    def to_json(self) -> str:
        """Return the contract as JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read_contract(metadata: Mapping[str, str], role: str, file: str) -> Contract:
    """Read the contract from a model file's metadata; ``file`` is only for messages.

    Raises ModelError for a file that zsre did not export, that is the other half of a model, or whose
    contract version this zsre does not know.
    """
    if CONTRACT_KEY not in metadata or ROLE_KEY not in metadata:
        raise ModelError(f"{file}: not a zsre model: it carries no contract; make one with zsre-export")
    found = metadata[ROLE_KEY]
    if found != role:
        plain = file.removesuffix(f".{RELATIONS_ROLE}.onnx")
        hint = "copy both files again, each under its own name"
        if found == RELATIONS_ROLE and plain != file:
            hint = f"give {plain}.onnx"
        raise ModelError(f"{file}: this is the '{found}' half of a model, not the '{role}' half: {hint}")
    try:
        fields = json.loads(metadata[CONTRACT_KEY])
        version = int(fields["version"])
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{file}: its contract cannot be read ({error}); export the model again") from error
    if version not in READABLE_VERSIONS:
        remedy = "update zsre" if version > CONTRACT_VERSION else "export the model again with this zsre"
        known = " and ".join(str(each) for each in READABLE_VERSIONS)
        raise ModelError(f"{file}: contract version {version}, but this zsre reads {known}: {remedy}")
    try:
        return _contract(fields)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{file}: its contract is damaged ({error}); export the model again") from error


def _contract(fields: dict[str, Any]) -> Contract:
    tokens = fields.pop("tokens")
    return Contract(
        tokens=TokenSettings(**{**tokens, "markers": tuple(tokens["markers"])}),
        calibration=Calibration(**fields.pop("calibration")),
        seen_relations=tuple(fields.pop("seen_relations")),
        seen_data=tuple(fields.pop("seen_data")),
        **fields,
    )
