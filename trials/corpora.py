"""The texts of trials: one-sentence documents of the benchmarks' corpus, and lines that a fuzzer made of some."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.corpora import SENTENCES
from benchmarks.places import Places
from trials.runs import TrialError

#: Lines between documents that are none, or blank.
_BETWEEN: Final = (b"{\n", b"\n", b"[1, 2]\n", b'{"text": ""}\n', b"\xff\xfe\n")
_STRANGE: Final = [
    b"\x00", b"\n", b"\r", b"\t", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"\xc3", b"\xe2\x80\xae",
    b"\\ud83d", b"\\u0000", b"null", b"1e999", b"-0", b"NaN", "\U0001f469\u200d\U0001f680".encode(), "e\u0301".encode(),
    "\u05e9\u05dc\u05d5\u05dd".encode(), b"\xef\xbb\xbf", b'"entities": [{"start": 0, "end": 3, "label": "ORG"}], ',
]  # fmt: skip


def sentences(folder: Path, documents: int, between: int = 100) -> Path:
    """Write so many one-sentence documents, and after each ``between`` of them a line that is none."""
    source = Places().data / SENTENCES
    if not source.is_file():
        raise TrialError(f"{source}: is not there; make it with: python -m benchmarks corpus")
    path = folder / f"sentences-{documents}.jsonl"
    with source.open("rb") as lines, path.open("wb") as file:
        for number, line in enumerate(islice(lines, documents), start=1):
            file.write(line)
            if between and number % between == 0:
                file.write(_BETWEEN[number // between % len(_BETWEEN)])
    return path


def mutated(folder: Path, lines: int, seed: int) -> Path:
    """Write lines that each are a document's with one to eight changes to its bytes."""
    chance = random.Random(seed)
    originals = sentences(folder, 2_000, between=0).read_bytes().splitlines()
    path = folder / f"mutated-{lines}.jsonl"
    with path.open("wb") as file:
        for _ in range(lines):
            line = bytearray(chance.choice(originals))
            for _ in range(chance.randint(1, 8)):
                _mutate(line, originals, chance)
            file.write(line + b"\n")
    return path


def _mutate(line: bytearray, originals: list[bytes], chance: random.Random) -> None:
    place = chance.randint(0, len(line))
    beyond = min(len(line), place + chance.randint(1, 12))
    match chance.randrange(6):
        case 0:
            line[place:place] = chance.choice(_STRANGE)
        case 1:
            del line[place:beyond]
        case 2:
            line[place:beyond] = chance.randbytes(beyond - place)
        case 3:
            line[place:place] = line[place:beyond] * chance.randint(1, 20)
        case 4:
            del line[place:]
            line += chance.choice(originals)[place:]
        case 5 if place < len(line):
            line[place] ^= 1 << chance.randrange(8)
