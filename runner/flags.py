"""Flags that mean the same in several commands, and how they are checked before anything is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from zsre.relations.errors import UsageError

#: What stands for standard input where a file is expected.
STANDARD_INPUT: Final = "-"

#: Most relations written for a pair, where nobody says otherwise.
MAX_RELATIONS: Final = 3
#: Mentions in a sentence beyond which pairs that lie far apart are left out, likewise.
MAX_MENTIONS: Final = 40
#: Whose mentions are paired where triples are measured: the labels' own, those that spaCy finds, or both.
Entities = Literal["given", "spacy", "both"]
ENTITIES: Final[tuple[Entities, ...]] = get_args(Entities)
DEFAULT_ENTITIES: Final = "given"
_FLAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "--relations": {"metavar": "FILE", "help": "needed: relations file, or wikidata, or wikidata:P112,P26"},
    "--model": {"type": Path, "metavar": "FILE", "help": "model.onnx to use (default: the one that ships)"},
    "--device": {
        "choices": ("auto", "cpu", "cuda"),
        "default": "auto",
        "help": "what to run the model on (default: auto)",
    },
    "--threads": {
        "type": int,
        "metavar": "N",
        "help": "threads for the model on a CPU (default: all cores)",
    },
    "--spacy-model": {
        "metavar": "NAME",
        "help": "spaCy pipeline for sentences and entities (default: en_core_web_sm)",
    },
    "--threshold": {"type": float, "metavar": "P", "help": "least score of a triple, 0 to 1 (default: the model's)"},
    "--max-relations": {
        "type": int,
        "default": MAX_RELATIONS,
        "metavar": "N",
        "help": "most relations for a pair (default: %(default)s)",
    },
    "--max-mentions": {
        "type": int,
        "default": MAX_MENTIONS,
        "metavar": "N",
        "help": "mentions in a sentence before far pairs are left out (default: %(default)s)",
    },
}


def add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add flags that several commands have, in the order of their names."""
    for name in names:
        parser.add_argument(name, **_FLAGS[name])


def check_flags(args: argparse.Namespace) -> None:
    """Raise UsageError for one of those flags that can't be meant, or for missing relations."""
    if args.relations is None:
        raise UsageError("--relations is missing: give a relations file, or wikidata for the catalogue that ships")
    check_least(args, max_relations=1, max_mentions=2, threads=1)
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise UsageError(f"--threshold {args.threshold}: must lie between 0 and 1")


def check_least(args: argparse.Namespace, **bounds: int) -> None:
    """Raise UsageError for a number below the least that its flag takes."""
    for name, least in bounds.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} {value}: must be at least {least}")
