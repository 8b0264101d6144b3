from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zsre.relations.errors import ConfigError
from zsre.trainer.config import TrainConfig, find_data, parse_config, read_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PLAIN = "data: [{path: a.jsonl}]\n"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "train.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_there_are_configurations_to_check() -> None:
    assert {path.name for path in CONFIGS} >= {"fewrel.yaml", "paper.yaml", "shipped.yaml"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_read(path: Path) -> None:
    config = read_config(path)
    assert config.data and config.name == path.stem


def test_the_paper_s_settings() -> None:
    """Section 4.4, and α of eq. 26."""
    config = read_config(next(path for path in CONFIGS if path.stem == "paper"))
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
        (PLAIN + "model: {pooling: max}\n", "unknown field 'model.pooling'"),
        (PLAIN + "ranking: {margin: 1}\n", "unknown field 'ranking.margin'"),
        (PLAIN + "contrast: {tau: 1}\n", "unknown field 'contrast.tau'"),
        ("data: [{path: a, per_relatoin: 3}]\n", "unknown field 'data.0.per_relatoin': did you mean 'per_relation'?"),
        (PLAIN + "optim: {epochs: two}\n", "optim.epochs: Input should be a valid integer"),
        (PLAIN + "optim: {epochs: 0}\n", "optim.epochs: Input should be greater than 0 (found 0)"),
        (PLAIN + "model: {pairing: both}\n", "model.pairing: Input should be 'marked' or 'shared' (found 'both')"),
        (PLAIN + "model: {alpha: 0.6}\n", "model.alpha: Input should be less than or equal to 0.5 (found 0.6)"),
        (PLAIN + "contrast: {mask: 15}\n", "contrast.mask: Input should be less than or equal to 1 (found 15)"),
        (PLAIN + "contrast: {temperature: 0}\n", "contrast.temperature: Input should be greater than 0"),
        (PLAIN + "contrast: {views: [mask]}\n", "contrast.views.1: Field required"),
        (PLAIN + "ranking: {top_k: 0}\n", "ranking.top_k: Input should be greater than 0"),
        (PLAIN + "level: {slope: -1}\n", "level.slope: Input should be greater than 0"),
        (PLAIN + "calibration: {folds: 1}\n", "calibration.folds: Input should be greater than or equal to 2"),
        ("name: empty\n", "data: Field required"),
        ("- a list\n", "expected a mapping with at least 'data', found list"),
        ("", "expected a mapping with at least 'data', found NoneType"),
        ("a: [1\n", "not YAML in UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(written: Callable[[str], Path], text: str, expected: str) -> None:
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_all_problems_come_at_once(written: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written("data: [{path: a}]\nseed: x\noptim: {warmup: 2}\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_config(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: not YAML in UTF-8"):
        read_config(tmp_path / "bytes.yaml")


def test_overrides_are_yaml_values_set_on_top(written: Callable[[str], Path]) -> None:
    overrides = ("optim.epochs=7", "model.pairing=marked", "held_out=[P1, P2]", "split=null", "optim.batch_size=5")
    config = read_config(written(PLAIN + "optim: {epochs: 1}\nsplit: a.json\n"), overrides)
    assert (config.optim.epochs, config.optim.batch_size) == (7, 5)
    assert (config.model.pairing, config.held_out, config.split) == ("marked", ("P1", "P2"), None)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.epochs", "--set optim.epochs: expected FIELD=VALUE, as in optim.epochs=2"),
        ("data.0.path=b", "--set data.0.path=b: 'data' is not a group of fields"),
        ("optim.epochs=[", r"--set optim.epochs=\[: '\[' is not a YAML value"),
        ("optim.epoch=2", "unknown field 'optim.epoch': did you mean 'epochs'"),
    ],
)
def test_overrides_that_cannot_be_meant(written: Callable[[str], Path], override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_config(written(PLAIN), (override,))


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
