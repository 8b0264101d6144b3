"""What a person sees of ``zsre-train``."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.conftest import RELATIONS as TINY_RELATIONS
from tests.trainer.command import error_of
from zsre.trainer import cli
from zsre.trainer.config import TrainConfig
from zsre.trainer.loop import Status

pytestmark = pytest.mark.usefixtures("place")
Config = Callable[..., TrainConfig]
RELATIONS = list(TINY_RELATIONS)


def test_the_bare_command_reads_the_configuration_that_is_there(
    configured: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    assert cli.main([]) == 0
    assert (place / "runs" / "tiny" / "model.safetensors").is_file()
    lines = error_of(capsys).splitlines()
    assert lines[-1] == "runs/tiny: done; next: zsre-export model.onnx --run runs/tiny"
    assert any(re.fullmatch(r"epoch 1  step 10/10  total \d.*ranking .* examples/s", line) for line in lines)
    assert any(line.startswith("epoch 1: F1 100.00 on 1 validation relations") for line in lines)


def test_the_bare_command_without_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: there is no zsre-train.yaml here; give a configuration, as in zsre-train "
        "configs/profiles/cpu.yaml (see docs/training.md)\n"
    )


def test_a_configuration_that_is_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["other.yaml"]) == 2
    assert error_of(capsys).startswith("zsre-train: error: other.yaml: no such file; give a configuration, as in ")
    (place / "runs" / "a").mkdir(parents=True)
    assert cli.main(["runs/a"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: runs/a: is a folder; give a configuration in it, or --resume runs/a if it is a run\n"
    )


def test_a_configuration_that_is_wrong(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bad.yaml").write_text("data: [{path: a}]\noptim: {epoch: 2}\n", encoding="utf-8")
    assert cli.main(["bad.yaml"]) == 2
    assert error_of(capsys) == ("zsre-train: error: bad.yaml: unknown field 'optim.epoch': did you mean 'epochs'?\n")
    assert not (place / "runs").exists()


def test_a_relations_file_in_place_of_a_configuration(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "relations.yaml").write_text("relations: [{name: home, description: where one lives}]\n", "utf-8")
    assert cli.main(["relations.yaml"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: relations.yaml: is a relations file, which zsre-extract takes; give zsre-train a "
        "configuration, which begins with the labelled files to train on, data: [{path: …}]: see configs/ and "
        "docs/training.md\n"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"data": [{"path": "nowhere.jsonl"}]}, "nowhere.jsonl: no such file, neither here nor under"),
        ({"data": [{"path": "words.txt"}]}, "words.txt: is in no format that is known here; name its format with "),
        ({"data": [{"path": "words.txt", "format": "zsre"}]}, "words.txt, line 1: is not JSON"),
        ({"data": [{"path": "."}]}, ".: is a directory; name a file in it"),
        ({"split": "nowhere.json"}, "nowhere.json: no such file"),
        ({"split": "words.txt"}, "words.txt: is not JSON"),
        ({"split": "other.json"}, "no text describes P1: add a source to texts.sources"),
        ({"split": None, "held_out": RELATIONS}, "the data states none of the relations to train on; check 'split'"),
        ({"split": None, "eval": {"relations": ["P1"]}}, "no text describes P1: add a source to texts.sources"),
        ({"texts": {"sources": ["nowhere.yaml"]}}, "nowhere.yaml: no such file"),
        ({"texts": {"sources": ["wikidata:P0"]}}, "wikidata:P0: "),
        ({"encoder": "./nowhere"}, "encoder './nowhere' cannot be loaded: "),
        ({"encoder": "package:nothing/model"}, "encoder 'package:nothing/model': the package 'nothing' is not"),
        ({"relation_encoder": "./nowhere"}, "relation encoder './nowhere' cannot be loaded: "),
        ({"calibration": {"data": [{"path": "nowhere.jsonl"}]}}, "nowhere.jsonl: no such file, neither here nor"),
        ({"calibration": {"data": [{"path": "words.txt"}]}}, "words.txt: is in no format that is known here; name"),
    ],
)
def test_a_run_that_cannot_start_leaves_nothing_behind(
    fields: dict[str, object], expected: str, configured: Callable[..., str], place: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Once it is mended, the same command works."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (place / "words.txt").write_text("some words\n", encoding="utf-8")
    (place / "other.json").write_text('{"train": ["P1"], "eval": [], "test": []}', encoding="utf-8")
    configured(**fields)
    before = sorted(place.iterdir())

    assert cli.main(["--quiet"]) == 2

    assert error_of(capsys).splitlines()[-1].startswith(f"zsre-train: error: {expected}")
    assert sorted(place.iterdir()) == before


def test_a_folder_that_was_there_before_stays(
    configured: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what the command made is taken away, and once the fault is mended the same command works."""
    (place / "runs").mkdir()
    (place / "empty").mkdir()
    configured(data=[{"path": "nowhere.jsonl"}])
    for flags in ([], ["-o", "empty"], ["-o", "runs/a/b"]):
        assert cli.main(flags) == 2
    assert list((place / "runs").iterdir()) == list((place / "empty").iterdir()) == []
    error_of(capsys)
    configured()
    assert cli.main(["--quiet", "-o", "runs/a/b"]) == 0


def test_a_format_that_cannot_be_told_is_set_in_the_configuration(
    configured: Callable[..., str], place: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "words.txt").write_text("some words\n", encoding="utf-8")
    configured(data=[{"path": "words.txt"}])
    assert cli.main([]) == 2
    assert "name its format with 'format' under 'data' (zsre: JSON lines with " in error_of(capsys)
    (place / "own.yaml").write_text("data: [{path: words.txt, format: csv}]\n", encoding="utf-8")
    assert cli.main(["own.yaml"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: own.yaml: data.0.format: expected 'zsre', 'fewrel', 'wiki80', 'wikizsl', 'redocred', "
        "'knowledgenet', 'contrast', 'lessons' or 'semeval' (found 'csv')\n"
    )
    assert not (place / "runs").exists()


def test_fields_can_be_set(configured: Callable[..., str], place: Path) -> None:
    name = configured("other.yaml")
    assert cli.main([name, "-o", "here", "--quiet", "--set", "data=[{path: nowhere}]"]) == 2
    assert cli.main([name, "-o", "here", "--quiet", "--set", "seed=5", "--set", "name=mine"]) == 0
    config = yaml.safe_load((place / "here" / "config.yaml").read_text(encoding="utf-8"))
    assert (config["seed"], config["name"]) == (5, "mine")


def test_later_files_override_earlier_ones_and_the_run_keeps_the_whole(
    configured: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = configured("base.yaml", seed=3)
    (place / "over.yaml").write_text("name: both\nmodel: {distiller: projection}\n", encoding="utf-8")
    assert cli.main([base, "--quiet", "--set", "model.alpha=0.3", "over.yaml"]) == 0
    config = yaml.safe_load((place / "runs" / "both" / "config.yaml").read_text(encoding="utf-8"))
    expected = yaml.safe_load((place / base).read_text(encoding="utf-8"))
    expected |= {"name": "both", "model": expected["model"] | {"distiller": "projection", "alpha": 0.3}}
    assert config == expected and config["seed"] == 3


def test_what_is_wrong_in_a_later_file_is_told_of_that_file(
    configured: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = configured()
    (place / "over.yaml").write_text("optim: {epoch: 2}\n", encoding="utf-8")
    assert cli.main([base, "over.yaml"]) == 2
    assert error_of(capsys) == "zsre-train: error: over.yaml: unknown field 'optim.epoch': did you mean 'epochs'?\n"
    assert cli.main([base, "other.yaml"]) == 2
    assert error_of(capsys).startswith("zsre-train: error: other.yaml: no such file; give a configuration, as in ")
    assert cli.main([base, str(place)]) == 2
    assert "is a folder; give a configuration in it" in error_of(capsys)
    assert not (place / "runs").exists()


def test_quiet_says_nothing(configured: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    assert cli.main(["--quiet"]) == 0
    assert error_of(capsys) == ""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--threads", "0"], "--threads 0: give at least 1"),
        (["--resume", "runs/a", "--set", "seed=1"], "--resume goes on with the run's own configuration; leave the"),
        (["--resume", "runs/a"], "runs/a: not a run directory of zsre-train: it holds no config.yaml"),
        (["--set", "seed"], "--set seed: expected FIELD=VALUE, as in optim.epochs=2"),
        (["--set", "optim.epochs=two"], "--set optim.epochs=two: optim.epochs: expected a whole number (found 'two')"),
    ],
)
def test_flags_that_cannot_be_meant(
    flags: list[str], expected: str, configured: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    assert cli.main(flags) == 2
    assert f"zsre-train: error: {expected}" in error_of(capsys)


def test_cuda_where_there_is_none(
    configured: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(["--device", "cuda"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: --device cuda: torch sees no CUDA device; use --device cpu or auto\n"
    )


def test_a_directory_that_holds_something(
    configured: Callable[..., str], tiny_runs: Callable[[str], Path], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    shutil.copytree(tiny_runs("shared"), place / "runs" / "tiny")
    assert cli.main([]) == 4
    assert error_of(capsys) == (
        "zsre-train: error: runs/tiny: not empty; go on with it by --resume runs/tiny, or give another -o\n"
    )
    (place / "full").mkdir()
    (place / "full" / "letter.txt").touch()
    assert cli.main(["-o", "full"]) == 4
    assert error_of(capsys) == "zsre-train: error: full: not empty; give another -o\n"


def test_the_last_line_takes_the_place_of_the_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cli.say("interrupted; nothing was written")
    assert capsys.readouterr().err == "\r\x1b[Kzsre-train: interrupted; nothing was written\n"


@pytest.mark.usefixtures("locked")
def test_places_that_nobody_may_look_at(configured: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    for flags, kind in ((["locked/a.yaml"], 2), (["-o", "locked/run"], 4), (["--resume", "locked/run"], 2)):
        assert cli.main(flags) == kind
        assert f"{flags[-1]}" in error_of(capsys)
    assert cli.main(["locked/a.yaml"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: locked/a.yaml: cannot be read: Permission denied; check the path and its permissions\n"
    )


def test_a_missing_extra_comes_with_its_install_command(
    configured: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main([]) == 2
    assert error_of(capsys) == "zsre-train: error: training needs torch: pip install 'zsre[train]'\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"zsre {version('zsre')}\n"


class TestProgress:
    status = Status(epoch=0, step=100, steps=300, losses={"total": 1.25, "contrast": 0.0}, examples_per_second=71.6)

    def test_is_one_line_on_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        cli.show_progress(self.status)
        cli.show_progress(Status(0, 300, 300, {"total": 1.0}, 70.0))
        assert capsys.readouterr().err == (
            "\r\x1b[Kepoch 1  step 100/300  total 1.2500  72 examples/s"
            "\r\x1b[Kepoch 1  step 300/300  total 1.0000  70 examples/s\n"
        )

    def test_is_a_line_every_hundred_steps_elsewhere(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            for step in (20, 100, 120, 300, 310):
                cli.show_progress(Status(0, step, 310, {"total": 1.0}, 70.0))
        assert [re.findall(r"step \d+", message)[0] for message in caplog.messages] == [
            "step 100", "step 300", "step 310",
        ]  # fmt: skip
