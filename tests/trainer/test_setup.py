from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from zsre.relations.errors import ConfigError, ModelError
from zsre.relations.tokens import TokenRows
from zsre.trainer.checkpoint import Progress
from zsre.trainer.config import TrainConfig
from zsre.trainer.setup import Setup, check_rows, load_texts, prepare, symmetric_ids

Config = Callable[..., TrainConfig]


def _prepare(config: TrainConfig) -> Setup:
    return prepare(config, torch.device("cpu"))


def test_a_split_says_what_is_trained_on_and_chosen_on(tiny_config: Config) -> None:
    setup = _prepare(tiny_config())
    assert setup.pairs.relations == ("author", "born", "crosses", "founder")
    assert len(setup.rows) == 160
    assert setup.validation is not None
    assert setup.validation.relations == ("home",)
    assert set(setup.validation.examples[1]) == {"home"} and len(setup.validation.examples[1]) == 40
    assert setup.validation.vectors.shape == (1, 3, 32)


def test_rows_too_short_for_any_pair_are_refused(tiny_config: Config) -> None:
    pairs = _prepare(tiny_config()).pairs
    with pytest.raises(ConfigError, match="none can be read within 16 tokens; allow more"):
        check_rows(TokenRows((), too_long=160, no_tokens=0, cut_sentences=160), pairs, 16)


def test_without_a_split_all_relations_but_those_held_out_are_trained_on(tiny_config: Config) -> None:
    setup = _prepare(tiny_config(split=None, held_out=["born"], eval={"relations": ["home", "singer"]}))
    assert setup.pairs.relations == ("author", "crosses", "founder")
    assert setup.validation is not None and setup.validation.relations == ("home", "singer")
    assert _prepare(tiny_config(split=None)).validation is None


def test_a_name_in_place_of_an_id_is_warned_of(tiny_config: Config, caplog: pytest.LogCaptureFixture) -> None:
    _prepare(tiny_config(held_out=["born", "birthplace"]))
    assert "held_out: the data states none of birthplace;" in caplog.text


def test_other_validation_relations_do_not_set_those_of_the_split_free(tiny_config: Config, tmp_path: Path) -> None:
    """A pair that states a relation of the split's ``eval`` beside a trained one is not used."""
    record = {
        "id": "1", "text": "ada was born in avalon .", "mentions": [{"start": 0, "end": 3}, {"start": 16, "end": 22}],
    }  # fmt: skip
    sentences = [["born"], ["born", "home"], ["crosses"], ["singer"]]
    with (tmp_path / "both.jsonl").open("w", encoding="utf-8") as file:
        for relations in sentences:
            file.write(json.dumps(record | {"pairs": [{"head": 0, "tail": 1, "relations": relations}]}) + "\n")
    data = [{"path": str(tmp_path / "both.jsonl")}]
    setup = _prepare(tiny_config(data=data, eval={"relations": ["crosses"]}))
    assert int(setup.pairs.stated.sum()) == 1


def test_no_epoch_is_chosen_on_what_the_split_tests(tiny_config: Config) -> None:
    with pytest.raises(ConfigError, match=r"^eval\.relations: .*split\.json tests singer, and no epoch may be"):
        _prepare(tiny_config(eval={"relations": ["home", "singer"]}))


def test_beyond_a_split_everything_is_trained_on_but_what_it_holds_out_under_any_name(
    tiny_config: Config, tmp_path: Path
) -> None:
    """P36 and P1376 are one fact, either way round."""
    split = {"train": ["crosses"], "eval": ["home"], "test": ["P36"]}
    (tmp_path / "split.json").write_text(json.dumps(split), encoding="utf-8")
    record = {
        "id": "1", "text": "ada was born in avalon .", "mentions": [{"start": 0, "end": 3}, {"start": 16, "end": 22}],
    }  # fmt: skip
    with (tmp_path / "data.jsonl").open("w", encoding="utf-8") as file:
        for relation in ("crosses", "home", "P36", "P1376", "P19"):
            pairs = [{"head": 0, "tail": 1, "relations": [relation]}]
            file.write(json.dumps(record | {"pairs": pairs}) + "\n")
    config = tiny_config(
        data=[{"path": str(tmp_path / "data.jsonl")}], split=str(tmp_path / "split.json"),
        texts={"sources": [*tiny_config().texts.sources, "wikidata"]},
    )  # fmt: skip
    assert _prepare(config).pairs.relations == ("crosses",)
    beyond = _prepare(replace(config, beyond_split=True))
    assert beyond.pairs.relations == ("P19", "crosses") and len(beyond.rows) == 2


def test_going_beyond_a_split_takes_a_split(tiny_config: Config) -> None:
    with pytest.raises(ConfigError, match="beyond_split: there is no split to go beyond"):
        _prepare(tiny_config(split=None, beyond_split=True))


@pytest.mark.parametrize("field", ["drop_terms", "noise"])
def test_what_changes_drawn_texts_takes_texts_that_are_drawn(tiny_config: Config, field: str) -> None:
    texts = {"sources": list(tiny_config().texts.sources), field: 0.1}
    with pytest.raises(ConfigError, match=r"with texts\.phrasings 'mean' none is; set phrasings to sample or mix"):
        _prepare(tiny_config(texts=texts))
    assert _prepare(tiny_config(texts=texts | {"phrasings": "sample"})).pairs.relations


@pytest.mark.parametrize("limit", [{"per_relation": 10}, {"leave_out": ["born"]}, {"reversed": True}])
def test_a_limit_on_calibration_data_would_never_be_applied(tiny_config: Config, limit: dict[str, object]) -> None:
    path = tiny_config().data[0].path
    with pytest.raises(ConfigError, match=r"calibration\.data: .*: all pairs are scored .* give path and format alone"):
        _prepare(tiny_config(calibration={"data": [{"path": path, **limit}]}))
    assert _prepare(tiny_config(calibration={"data": [{"path": path, "format": "zsre"}]})).pairs.relations


def test_a_relation_is_symmetric_whatever_its_published_text_leaves_out(tmp_path: Path) -> None:
    """Reversed, a spouse is no negative for spouse, though only the catalogue says so."""
    lines = [
        "relations:",
        "  - {name: P26, description: spouse}",
        "  - {name: twin, description: twin, symmetric: true}",
    ]
    (tmp_path / "few.yaml").write_text("\n".join(lines), encoding="utf-8")
    found = symmetric_ids(load_texts([str(tmp_path / "few.yaml")]))
    assert {"P26", "twin"} <= found and "P19" not in found


def test_what_a_run_records_of_itself(tiny_config: Config) -> None:
    facts = _prepare(tiny_config(level={"weight": 0.3, "slope": 9.0, "level": 0.4})).facts(Progress(1, 0, 9, 0.5, 1))
    assert facts.seen_relations == ("author", "born", "crosses", "founder")
    # The data set's name, not the place where it lay.
    assert facts.seen_data == ("labelled",) and facts.pairs == {"labelled": 160}
    assert (facts.level_slope, facts.level) == (pytest.approx(9.0), pytest.approx(0.4))
    assert (facts.best_epoch, facts.best_f1, facts.finished) == (1, 0.5, False)


def test_the_seed_decides_the_new_weights(tiny_config: Config) -> None:
    one, same, other = (_prepare(tiny_config(seed=seed)).model.context.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_relation_without_a_text(tiny_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = {"sources": [str(tmp_path / "few.yaml")]}
    lines = [f"  - {{name: {name}, description: what is {name}}}" for name in ("born", "founder", "author", "crosses")]
    (tmp_path / "few.yaml").write_text("\n".join(["relations:", *lines[:3]]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no text describes crosses: add a source to texts\.sources"):
        _prepare(tiny_config(texts=texts))
    with caplog.at_level(logging.WARNING):
        assert _prepare(tiny_config(texts=texts, split=None)).pairs.relations == ("author", "born", "founder")
    assert "3 relations of the data have no text and are left out: crosses, home, singer" in caplog.text

    (tmp_path / "few.yaml").write_text("\n".join(["relations:", *lines]), encoding="utf-8")
    with pytest.raises(ConfigError, match="no text describes home"):  # a validation relation
        _prepare(tiny_config(texts=texts))


def test_validation_relations_that_the_data_does_not_state(tiny_config: Config) -> None:
    texts = tiny_config().texts.sources
    with pytest.raises(ConfigError, match=r"states none of the validation relations \(P19\): give others in eval"):
        _prepare(tiny_config(eval={"relations": ["P19"]}, texts={"sources": [*texts, "wikidata:P19"]}))


def test_encoders_of_two_widths(tiny_config: Config, tiny_encoder: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    shutil.copytree(tiny_encoder, tmp_path / "wide")
    config = BertConfig.from_pretrained(tiny_encoder)
    config.hidden_size, config.num_hidden_layers = 48, 1
    BertModel(config).save_pretrained(tmp_path / "wide")
    with pytest.raises(ModelError, match=r"the sentence encoder is 32 wide, the relation encoder .*wide' 48"):
        _prepare(tiny_config(relation_encoder=str(tmp_path / "wide")))


def test_texts_come_in_the_order_of_their_sources(tmp_path: Path) -> None:
    for name, description in (("one", "was born there"), ("two", "came into the world there")):
        text = f"relations:\n  - {{id: P19, name: born, description: {description}}}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    texts = load_texts([str(tmp_path / "one.yaml"), "wikidata:P19,P26", str(tmp_path / "two.yaml")])
    assert set(texts) == {"P19", "P26"}
    assert [texts["P19"][place].description for place in (0, 2)] == ["was born there", "came into the world there"]


def test_a_file_whose_name_begins_like_the_catalogue_s_is_looked_for_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSRE_DATA", str(tmp_path))
    (tmp_path / "wikidata-own.yaml").write_text("relations: [{name: a, description: b}]", encoding="utf-8")
    assert load_texts(["wikidata-own.yaml"]).keys() == {"a"}
