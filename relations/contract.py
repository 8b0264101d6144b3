"""What an exported model says of itself; it travels as JSON in the metadata of both ONNX files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsre.relations.errors import ModelError
from zsre.relations.logistic import sigmoid
from zsre.relations.problems import shorten
from zsre.relations.tokens import PAIRINGS, TokenSettings

CONTRACT_VERSION = 4
#: Version 3 is the same without `Contract.vectors`, 1 and 2 also without `BLOCKS` and `ADAPTED`; what 2 had instead,
#: its inputs show.
READABLE_VERSIONS = (1, 2, 3, 4)
CONTRACT_KEY = "zsre.contract"
TOKENIZER_KEY = "zsre.tokenizer"
ROLE_KEY = "zsre.role"
#: More than any encoder has, of dimensions and of tokens in a row, and of ids.
MOST_COUNTED, MOST_ID = 2**16, 2**31
#: The two files of a model: sentences with mentions and pairs to vectors, and texts to description vectors.
SENTENCES_ROLE, RELATIONS_ROLE = "sentences", "relations"
#: An input and an output (R, 3, D) of the relations' graph in models that adapt relation vectors: those of the texts of
#: head, tail and relation, normalised, and what the model compares instead.
BLOCKS, ADAPTED = "blocks", "adapted"


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
        # A product too small to be told from 0 is 0, whatever the caller makes of such products.
        with np.errstate(under="ignore"):
            logits = self.slope * similarity.astype(np.float64) + self.intercept
        return sigmoid(logits)


#: For a model that was never calibrated: similarity 0.5 reads as even odds, and nothing more is claimed.
UNCALIBRATED = Calibration(slope=10.0, intercept=-5.0, threshold=0.5, fitted_on="nothing: not calibrated")


@dataclass(frozen=True, slots=True)
class Contract:
    """A model's identity, the shape of its inputs and outputs, its calibration and what it has seen.

    ``dimension`` is D of one vector, so a pair vector holds 3·D numbers. ``seen_relations`` are the ids used
    in training, ``seen_data`` the data sets. ``fingerprint`` is a hash over weights and settings, the same in
    both files of a model. ``vectors`` is one over what makes the vectors of pairs alone: kept ones stay good when only
    the relation side or the calibration changes. It is empty where the contract is older.
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
    vectors: str = ""
    version: int = CONTRACT_VERSION

    @property
    def vectors_fingerprint(self) -> str:
        """Return what models have in common whose vectors of pairs are the same."""
        return self.vectors or self.fingerprint

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
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ModelError(f"{file}: its contract cannot be read ({error}); export the model again") from error
    if version not in READABLE_VERSIONS:
        remedy = "update zsre" if version > CONTRACT_VERSION else "export the model again with this zsre"
        known = f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}"
        raise ModelError(f"{file}: contract version {version}, but this zsre reads {known}: {remedy}")
    try:
        contract = _contract(fields)
        _check(contract)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{file}: its contract is damaged ({error}); export the model again") from error
    return contract


def _contract(fields: dict[str, Any]) -> Contract:
    tokens = fields.pop("tokens")
    return Contract(
        tokens=TokenSettings(**{**tokens, "markers": tuple(tokens["markers"])}),
        calibration=Calibration(**fields.pop("calibration")),
        seen_relations=tuple(fields.pop("seen_relations")),
        seen_data=tuple(fields.pop("seen_data")),
        **fields,
    )


def _check(contract: Contract) -> None:
    """Raise ValueError for values that no export writes, which would fail later, or make an array of any size."""
    tokens, calibration = contract.tokens, contract.calibration
    counts = {"dimension": contract.dimension, "max_tokens": tokens.max_tokens}
    ids = {"first_id": tokens.first_id, "last_id": tokens.last_id, "pad_id": tokens.pad_id}
    ids |= {f"markers[{number}]": marker for number, marker in enumerate(tokens.markers)}
    numbers = {name: getattr(calibration, name) for name in ("slope", "intercept", "threshold")}
    texts = {
        name: getattr(contract, name)
        for name in ("name", "fingerprint", "vectors", "precision", "encoder", "relation_encoder")
    }
    listed = {"seen_relations": contract.seen_relations, "seen_data": contract.seen_data}
    checks: list[tuple[str, object, bool]] = [
        *((name, value, type(value) is int and 1 <= value <= MOST_COUNTED) for name, value in counts.items()),
        *((name, value, type(value) is int and 0 <= value <= MOST_ID) for name, value in ids.items()),
        *((name, value, _is_finite(value)) for name, value in numbers.items()),
        *((name, value, isinstance(value, str)) for name, value in texts.items()),
        *((name, value, all(isinstance(each, str) for each in value)) for name, value in listed.items()),
        ("alpha", contract.alpha, _is_finite(contract.alpha) and 0 <= contract.alpha <= 0.5),
        ("pairing", tokens.pairing, tokens.pairing in PAIRINGS),
        ("markers", tokens.markers, len(tokens.markers) == 4),
        ("max_tokens", tokens.max_tokens, tokens.capacity >= 1),
    ]
    for name, value, right in checks:
        if not right:
            raise ValueError(f"{name}: {shorten(value)}")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
