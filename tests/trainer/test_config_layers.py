"""Several files and flags, of which later ones lie on top of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zsre.relations.errors import ConfigError
from zsre.trainer.config import TrainConfig, read_config, read_configs
from zsre.trainer.config_layers import ConfigLayers

PLAIN = "data: [{path: a.jsonl}]\n"


def test_overrides_are_yaml_values_set_on_top(written: Callable[[str], Path]) -> None:
    overrides = ("optim.epochs=7", "model.pairing=marked", "held_out=[P1, P2]", "split=null", "optim.batch_size=5")
    config = read_config(written(PLAIN + "optim: {epochs: 1}\nsplit: a.json\n"), overrides)
    assert (config.optim.epochs, config.optim.batch_size) == (7, 5)
    assert (config.model.pairing, config.held_out, config.split) == ("marked", ("P1", "P2"), None)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.epochs", "--set optim.epochs: expected FIELD=VALUE, as in optim.epochs=2"),
        ("data.0.path=b", "--set data.0.path=b: 'data' is not a group of fields; set it as a whole, data=VALUE"),
        ("optim.epochs=[", r"--set optim.epochs=\[: '\[' is not a YAML value"),
        ("name={a: 1, a: 2}", "--set name={a: 1, a: 2}:1: 'a' is written twice, first on line 1: keep one"),
        ("x=" + "[" * 5000, r"--set x=\[{57}…:1: more than 20 lists and mappings inside one another: close"),
        ("name=2020-13-01", "--set name=2020-13-01: '2020-13-01' is not a YAML value"),
    ],
)
def test_overrides_that_cannot_be_meant(written: Callable[[str], Path], override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_config(written(PLAIN), (override,))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optim.epoch=2"], "--set optim.epoch=2: unknown field 'optim.epoch': did you mean 'epochs'?"),
        (["optim.epochs=two"], "--set optim.epochs=two: optim.epochs: expected a whole number (found 'two')"),
        (["seed=1", "data=[{path: 3}]"], "--set data=[{path: 3}]: data.0.path: expected text, in quotes if need be"),
        # The whole group came with the flag.
        (["optm.epochs=2"], "--set optm.epochs=2: unknown field 'optm': did you mean 'optim'?"),
        # Of two flags for one field, the last one counts.
        (["seed=a", "seed=b"], "--set seed=b: seed: expected a whole number (found 'b')"),
        (["optim.epochs=1", "optim={epochs: 0}"], "--set optim={epochs: 0}: optim.epochs: expected more than 0 (found"),
        (["data=[" + "a" * 100 + "]"], "--set data=[" + "a" * 53 + "…: data.0: expected a mapping"),
        # The flag is not to blame for what stands beside it in the file.
        (["level.slope=3"], "FILE: level.top_k: expected more than 0 (found -5)"),
    ],
)
def test_a_bad_value_is_blamed_on_the_flag_that_gave_it(
    written: Callable[[str], Path], overrides: list[str], expected: str
) -> None:
    path = written(PLAIN + ("level: {top_k: -5}\n" if expected.startswith("FILE") else "level: {top_k: 5}\n"))
    with pytest.raises(ConfigError) as caught:
        read_config(path, tuple(overrides))
    assert str(caught.value).replace(str(path), "FILE").startswith(expected)
    assert len(str(caught.value).splitlines()) == 1


class TestSeveralFiles:
    BASE = PLAIN + "optim: {epochs: 3, batch_size: 8}\nheld_out: [P1, P2]\nsplit: a.json\nranking: {top_k: 0}\n"

    @pytest.fixture
    def read(self, tmp_path: Path) -> Callable[..., TrainConfig]:
        """A function that writes files, named a.yaml, b.yaml and so on, and reads them as one configuration."""

        def read(*texts: str, overrides: tuple[str, ...] = ()) -> TrainConfig:
            paths = [tmp_path / f"{letter}.yaml" for letter in "abc"[: len(texts)]]
            for path, text in zip(paths, texts, strict=True):
                path.write_text(text, encoding="utf-8")
            return read_configs(paths, overrides)

        return read

    def test_groups_merge_and_lists_and_values_replace(self, read: Callable[..., TrainConfig]) -> None:
        over = "optim: {epochs: 5}\nheld_out: [P3]\nsplit: null\nranking: {top_k: 2}\nmodel: {alpha: 0.2}\n"
        config = read(self.BASE, over, "optim: {warmup: 0.5}\ndata: [{path: c.jsonl}]\n")
        assert (config.optim.epochs, config.optim.batch_size, config.optim.warmup) == (5, 8, 0.5)
        assert (config.held_out, config.split, config.ranking.top_k) == (("P3",), None, 2)
        assert (config.model.alpha, [source.path for source in config.data]) == (0.2, ["c.jsonl"])

    def test_flags_come_last(self, read: Callable[..., TrainConfig]) -> None:
        overrides = ("optim.epochs=7", "optim.warmup=0.3")
        config = read(self.BASE, "optim: {epochs: 5}\nranking: {top_k: 1}\n", overrides=overrides)
        assert (config.optim.epochs, config.optim.warmup, config.optim.batch_size) == (7, 0.3, 8)

    def test_the_first_file_may_leave_out_what_a_later_one_has(self, read: Callable[..., TrainConfig]) -> None:
        assert read("seed: 3\n", PLAIN).seed == 3

    def test_what_is_on_top_leaves_the_files_below_alone(self, tmp_path: Path) -> None:
        data = {"data": [{"path": "a"}], "optim": {"epochs": 3}}
        layers = ConfigLayers()
        layers.add_file(data, "below")
        layers.add_file({"optim": {"epochs": 4}}, "above")
        assert layers.data["optim"] == {"epochs": 4} and data["optim"] == {"epochs": 3}

    @pytest.mark.parametrize(
        ("over", "overrides", "expected"),
        [
            ("seed: 1\n", (), "a.yaml: ranking.top_k: expected more than 0 (found 0)"),
            ("ranking: {top_k: -1}\n", (), "b.yaml: ranking.top_k: expected more than 0 (found -1)"),
            ("ranking: {hard_margin: x}\n", (), "b.yaml: ranking.hard_margin: expected a number (found 'x')\n"
             "a.yaml: ranking.top_k: expected more than 0 (found 0)"),
            ("ranking: 3\n", (), "b.yaml: ranking: expected a mapping of fields to values (found 3)"),
            ("ranking: {top_k: 1}\noptim: {epoch: 2}\n", (), "b.yaml: unknown field 'optim.epoch': did you mean 'ep"),
            ("ranking: {top_k: 1}\noptm: {epoch: 2}\n", (), "b.yaml: unknown field 'optm': did you mean 'optim'?"),
            ("ranking: {top_k: 1}\ndata: [{format: zsre}]\n", (), "b.yaml: data.0.path: missing"),
            ("ranking: {top_k: -1}\n", ("ranking.top_k=-2",), "--set ranking.top_k=-2: ranking.top_k: expected more"),
            ("- a list\n", (), "b.yaml: expected a mapping of fields (found ['a list'])"),
            ("", (), "b.yaml: expected a mapping of fields (found nothing)"),
            ("relations: []\n", (), "b.yaml: is a relations file, which zsre-extract takes; give zsre-train a conf"),
            ("a: [\n", (), "b.yaml, line 2: not YAML: "),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_blamed_on_the_file_that_brought_it(
        self, read: Callable[..., TrainConfig], tmp_path: Path, over: str, overrides: tuple[str, ...], expected: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read(self.BASE, over, overrides=overrides)
        assert str(caught.value).replace(f"{tmp_path}/", "").startswith(expected)

    def test_what_none_of_them_has_is_missing_in_the_first(
        self, read: Callable[..., TrainConfig], tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read("seed: 1\n", "seed: 2\n")
        assert str(caught.value) == f"{tmp_path / 'a.yaml'}: data: missing"
