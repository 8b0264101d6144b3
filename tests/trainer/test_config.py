from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zsre.relations.errors import ConfigError
from zsre.trainer.config import DataConfig, TrainConfig, find_data, parse_config, read_config

FOLDER = Path(__file__).parents[2] / "configs"
#: Those that are whole; tests/experiments has those that go on top.
CONFIGS = {"shipped": "shipped.yaml", "fewrel-cpu": "profiles/cpu.yaml", "fewrel-paper": "profiles/paper.yaml"}
PLAIN = "data: [{path: a.jsonl}]\n"


@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_configurations_are_read(name: str) -> None:
    config = read_config(FOLDER / CONFIGS[name])
    assert config.data and config.name == name


def test_the_paper_s_settings() -> None:
    """Section 4.4, and α of eq. 26."""
    config = read_config(FOLDER / CONFIGS["fewrel-paper"])
    assert (config.optim.learning_rate, config.optim.epochs, config.optim.batch_size) == (2e-6, 5, 32)
    assert (config.contrast.temperature, config.contrast.mask, config.contrast.cutoff) == (0.05, 0.15, 0.2)
    assert (config.contrast.views, config.ranking.negatives, config.ranking.scope) == (
        ("mask", "cutoff"),
        "ranked",
        "batch",
    )
    assert (config.model.alpha, config.model.pairing, config.level.weight) == (0.33, "marked", 0)


def test_defaults_fill_what_is_not_said(written: Callable[[str], Path]) -> None:
    config = read_config(written(PLAIN + "optim: {epochs: 3, learning_rate: 2e-5}\n"))
    assert (config.optim.epochs, config.optim.learning_rate, config.optim.batch_size) == (3, 2e-5, 32)
    assert config.relation_encoder_name == config.encoder


def test_a_configuration_survives_being_written_and_read(written: Callable[[str], Path]) -> None:
    config = read_config(written(PLAIN + "relation_encoder: other\nheld_out: [P1]\nmodel: {gaussian: value}\n"))
    assert parse_config(config.to_dict(), "again") == config
    assert config.relation_encoder_name == "other"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN + "optm: {}\n", "unknown field 'optm': did you mean 'optim'?"),
        (PLAIN + "optim: {epoch: 2}\n", "unknown field 'optim.epoch': did you mean 'epochs'?"),
        (PLAIN + "epochs: 2\n", "unknown field 'epochs': did you mean 'optim.epochs'?"),
        (PLAIN + "optim: {top_k: 2}\n", "unknown field 'optim.top_k': did you mean 'ranking.top_k' or 'level.top_k'?"),
        (PLAIN + "eval: {zzz: 2}\n", "unknown field 'eval.zzz': known here are per_relation, relations"),
        (PLAIN + "model: {pooling: max}\n", "unknown field 'model.pooling'"),
        (PLAIN + "ranking: {margin: 1}\n", "unknown field 'ranking.margin'"),
        (PLAIN + "contrast: {tau: 1}\n", "unknown field 'contrast.tau'"),
        ("data: [{path: a, per_relatoin: 3}]\n", "unknown field 'data.0.per_relatoin': did you mean 'per_relation'?"),
        (PLAIN + "optim: {epochs: two}\n", "optim.epochs: expected a whole number (found 'two')"),
        (PLAIN + "optim: {epochs: 2.5}\n", "optim.epochs: expected a whole number (found 2.5)"),
        (PLAIN + "optim: {epochs: .nan}\n", "optim.epochs: expected a finite number (found nan)"),
        (PLAIN + "optim: {learning_rate: .inf}\n", "optim.learning_rate: expected a finite number (found inf)"),
        (PLAIN + "contrast: {mask: .nan}\n", "contrast.mask: expected a finite number (found nan)"),
        (PLAIN + "ranking: {hard_margin: .nan}\n", "ranking.hard_margin: expected a finite number (found nan)"),
        (PLAIN + "model: {alpha: .nan}\n", "model.alpha: expected a finite number (found nan)"),
        (PLAIN + "seed: -1\n", "seed: expected at least 0 (found -1)"),
        (PLAIN + "seed: 99999999999999999999\n", "seed: expected less than 9.22337e+18 (found 99999999999999999999)"),
        (PLAIN + "optim: {epochs: }\n", "optim.epochs: expected a whole number (found nothing)"),
        (PLAIN + "optim: {epochs: 0}\n", "optim.epochs: expected more than 0 (found 0)"),
        (PLAIN + "optim: {learning_rate: high}\n", "optim.learning_rate: expected a number (found 'high')"),
        (PLAIN + "optim: {learning_rate: [1]}\n", "optim.learning_rate: expected a number (found [1])"),
        (PLAIN + "optim: {frozen_embeddings: 7}\n", "optim.frozen_embeddings: expected true or false (found 7)"),
        (PLAIN + "optim: {frozen_embeddings: []}\n", "optim.frozen_embeddings: expected true or false (found [])"),
        (PLAIN + "optim:\n", "optim: expected a mapping of fields to values (found nothing)"),
        (PLAIN + "optim: [1]\n", "optim: expected a mapping of fields to values (found [1])"),
        (PLAIN + "name: 5\n", "name: expected text, in quotes if need be (found 5)"),
        (PLAIN + "held_out: P1\n", "held_out: expected a list (found 'P1')"),
        (PLAIN + "held_out: [P1, 2]\n", "held_out.1: expected text, in quotes if need be (found 2)"),
        (PLAIN + "model: {pairing: both}\n", "model.pairing: expected 'marked' or 'shared' (found 'both')"),
        (PLAIN + "model: {alpha: 0.6}\n", "model.alpha: expected at most 0.5 (found 0.6)"),
        (PLAIN + "contrast: {mask: 15}\n", "contrast.mask: expected at most 1 (found 15)"),
        (PLAIN + "contrast: {temperature: 0}\n", "contrast.temperature: expected more than 0 (found 0)"),
        (PLAIN + "contrast: {views: [mask]}\n", "contrast.views.1: missing"),
        (PLAIN + "contrast: {views: [mask, mask, mask]}\n", "contrast.views: expected a list of at most 2 (found"),
        (PLAIN + "ranking: {top_k: 0}\n", "ranking.top_k: expected more than 0 (found 0)"),
        (PLAIN + "level: {slope: -1}\n", "level.slope: expected more than 0 (found -1)"),
        (PLAIN + "calibration: {folds: 1}\n", "calibration.folds: expected at least 2 (found 1)"),
        (PLAIN + "texts: {sources: []}\n", "texts.sources: expected a list of at least one (found [])"),
        ("data: []\n", "data: expected a list of at least one (found [])"),
        (PLAIN + "7: x\n", "7: expected text for the name of a field (found 7)"),
        ("data: a.jsonl\n", "data: expected a list (found 'a.jsonl')"),
        ("data: {path: a.jsonl}\n", "data: expected a list (found {'path': 'a.jsonl'})"),
        ("data: [a.jsonl]\n", "data.0: expected a mapping of fields to values (found 'a.jsonl')"),
        ("data: [{format: zsre}]\n", "data.0.path: missing"),
        ("data: [{path: a, format: csv}]\n", "data.0.format: expected 'zsre', 'fewrel', 'wiki80', 'wikizsl', "),
        ("name: empty\n", "data: missing"),
        ("- a list\n", "expected a mapping with at least 'data' (found ['a list'])"),
        ("", "expected a mapping with at least 'data' (found nothing)"),
        (PLAIN + "name: 2020-13-01\n", "not YAML in UTF-8: month must be in 1..12"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(written: Callable[[str], Path], text: str, expected: str) -> None:
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_no_number_is_true_or_false() -> None:
    plain = TrainConfig((DataConfig("a", per_relation=1),)).to_dict()
    plain["texts"]["adapter"] = {"ridge": 0.1, "width": 0.1}
    plain["calibration"]["data"] = [{"path": "b", "per_relation": 1}]
    plain = json.loads(json.dumps(plain))
    numbers = [(place, value) for place, value in _values(plain) if type(value) in (int, float)]
    assert len(numbers) > 35
    for place, value in numbers:
        with pytest.raises(ConfigError) as caught:
            parse_config(_changed(plain, place, True), "here")
        kind = "a whole number" if type(value) is int else "a number"
        assert str(caught.value) == f"here: {'.'.join(map(str, place))}: expected {kind} (found True)"


@pytest.mark.parametrize("value", [None, True, 7, -7, 0.5, 1e9, float("nan"), "word", [1], [[]], {"a": 1}, {7: 1}])
def test_whatever_is_wrong_is_said_in_plain_words(value: object) -> None:
    """A value of every kind is put into every field, and what is refused is never told in the words of pydantic."""
    plain = json.loads(json.dumps(TrainConfig((DataConfig("a"),)).to_dict()))
    refused = 0
    for place, _ in _values(plain):
        try:
            parse_config(_changed(plain, place, value), "here")
        except ConfigError as error:
            refused += 1
            for line in str(error).splitlines():
                assert re.fullmatch(
                    r"here: ([\w.]+: (expected .+ \(found .+\)|missing)|unknown field '\w.+': .+)", line
                )
    assert refused > 10


def _values(value: object, *place: object) -> Iterator[tuple[tuple[Any, ...], object]]:
    """Yield all that stands in plain data, with the names that lead there."""
    if place:
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _values(inner, *place, key)


def _changed(plain: dict[str, Any], place: tuple[Any, ...], value: object) -> dict[str, Any]:
    """Return plain data with another value at a place."""
    changed = copy.deepcopy(plain)
    group: Any = changed
    for part in place[:-1]:
        group = group[part]
    group[place[-1]] = value
    return changed


def test_long_values_and_long_lists_of_problems_are_cut_short(written: Callable[[str], Path]) -> None:
    long = "word " * 100
    for text in (PLAIN + f"seed: {long}\n", f"data: {{path: {long}}}\n", f"- {long}\n", PLAIN + f"? {long}\n: 1\n"):
        with pytest.raises(ConfigError) as caught:
            read_config(path := written(text))
        assert len(str(caught.value).removeprefix(str(path))) < 350, "the hint lists the fields"
        assert "…" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        read_config(path := written("".join(f"P{number}: []\n" for number in range(30))))
    assert len(str(caught.value).splitlines()) == 11
    assert str(caught.value).endswith("\nand 21 more")  # among them that 'data' is missing


def test_all_problems_come_at_once(written: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written("data: [{path: a}]\nseed: x\noptim: {warmup: 2}\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_data_is_found_as_given_or_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSRE_DATA", "sets")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "a.jsonl").touch()
    assert find_data("a.jsonl") == Path("sets/a.jsonl")
    (tmp_path / "a.jsonl").touch()
    assert find_data("a.jsonl") == Path("a.jsonl")
    with pytest.raises(ConfigError, match=r"b\.jsonl: no such file, neither here nor under sets \(set ZSRE_DATA"):
        find_data("b.jsonl")
    monkeypatch.delenv("ZSRE_DATA")
    with pytest.raises(ConfigError, match="nor under data "):
        find_data("b.jsonl")


def test_a_configuration_cannot_be_changed() -> None:
    config = parse_config({"data": [{"path": "a"}]}, "here")
    with pytest.raises(AttributeError):
        config.seed = 3  # type: ignore[misc]
    assert isinstance(config, TrainConfig)


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("name", ["x" * 5000, "locked/data.jsonl"])
def test_data_that_cannot_be_looked_for_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^(x+|locked/data\.jsonl): cannot be read: (File name too long|Permission)"):
        find_data(name)
