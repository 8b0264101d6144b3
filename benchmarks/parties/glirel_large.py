"""GLiREL as its large model is configured, with random weights: good for its speed alone, and needs no download.

DeBERTa's own tokenizer can't be had without one either. In its place a word or a sign makes one token, which is fewer
than DeBERTa makes, so GLiREL comes out a little faster here than it is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import torch
from glirel import GLiREL
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import DebertaV2Config, DebertaV2Model, PreTrainedTokenizerFast

from benchmarks.parties.marked import relation_names
from benchmarks.protocol import Counts, Job, Work, read_records, serve

BATCH = 8
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
#: How GLiREL itself cuts a text into words.
WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")
#: microsoft/deberta-v3-large.
ENCODER = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "vocab_size": 128100, "max_position_embeddings": 512, "type_vocab_size": 0, "relative_attention": True,
    "max_relative_positions": -1, "position_buckets": 256, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
    "norm_rel_ebd": "layer_norm", "position_biased_input": False, "layer_norm_eps": 1e-7,
}  # fmt: skip
#: What GLiREL's large model has on top of it.
HEAD = {
    "max_width": 12, "fine_tune": True, "subtoken_pooling": "first", "hidden_size": 768, "scorer": "dot",
    "rel_mode": "marker", "span_marker_mode": "markerv1", "label_embed_strategy": "label", "refine_prompt": False,
    "refine_relation": False, "ffn_mul": 4, "dropout": 0.4, "max_len": 384, "max_entity_pair_distance": None,
    "fixed_relation_types": True, "device": "cpu",
}  # fmt: skip


def prepare(job: Job) -> Work:
    """Build the model in a folder that stands in for a download."""
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    records = read_records(job)
    with tempfile.TemporaryDirectory() as folder:
        encoder = {**ENCODER, **job.get("encoder", {})}
        stand_in_tokenizer().save_pretrained(folder)
        DebertaV2Model(DebertaV2Config(**encoder)).save_pretrained(folder)
        model = GLiREL(argparse.Namespace(**HEAD, model_name=folder)).to(torch.device("cpu")).eval()
    labels = list(relation_names(job["relations"]))
    inputs = [words_and_entities(record) for record in records]

    def predict(chosen: list[tuple[list[str], list[list[object]]]]) -> Counts:
        for start in range(0, len(chosen), BATCH):
            words, entities = zip(*chosen[start : start + BATCH], strict=True)
            model.batch_predict_relations([list(own) for own in words], labels, threshold=0.5, ner=list(entities))
        return {"sentences": len(chosen)}

    versions = {name: importlib.metadata.version(name) for name in ("glirel", "torch", "transformers")}
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = {**versions, "batch": BATCH, "parameters": size}
    return Work(lambda: predict(inputs), facts, warm_up=lambda: predict(inputs[:1]))


def stand_in_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer that makes one token, always the same, of each word and of each sign."""
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(SPECIAL)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    names = ("pad_token", "cls_token", "sep_token", "unk_token", "mask_token")
    named = dict(zip(names, SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)  # type: ignore[no-untyped-call]


def words_and_entities(record: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Return the words of a text, and its entities as GLiREL takes them: first word, last word, type, text."""
    text = record["text"]
    words = list(WORD.finditer(text))
    entities: list[list[object]] = []
    for own in record["entities"]:
        inside = [i for i, word in enumerate(words) if word.start() < own["end"] and own["start"] < word.end()]
        entities.append([inside[0], inside[-1], own["label"], text[own["start"] : own["end"]]])
    return [word.group() for word in words], entities


if __name__ == "__main__":
    serve(prepare)
