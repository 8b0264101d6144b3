from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zsre.relations.errors import ConfigError
from zsre.trainer.config import read_config

PLAIN = "data: [{path: a.jsonl}]\n"


def test_broken_yaml_is_named_by_its_line_in_one_line(written: Callable[[str], Path]) -> None:
    path = written("data:\n  - {path: a\nname: b\n")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}, line 3: not YAML: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PLAIN + "seed: 1\noptim: {epochs: 3}\noptim: {warmup: 0}\n",
            ":4: 'optim' is written twice, first on line 3",
        ),
        (PLAIN + "optim:\n  epochs: 3\n  'epochs': 5\n", ":4: 'epochs' is written twice, first on line 3"),
        ("data:\n  - path: a\n    path: b\n", ":3: 'path' is written twice, first on line 2"),
    ],
)
def test_what_yaml_would_drop_is_refused(written: Callable[[str], Path], text: str, expected: str) -> None:
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value) == f"{path}{expected}: keep one"


def test_a_relations_file_is_recognised(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "examples" / "relations.yaml"
    for overrides in ((), ("optim.epochs=2",)):
        with pytest.raises(ConfigError) as caught:
            read_config(path, overrides)
        assert str(caught.value) == (
            f"{path}: is a relations file, which zsre-extract takes; give zsre-train a configuration, which begins "
            "with the labelled files to train on, data: [{path: …}]: see configs/ and docs/training.md"
        )


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_config(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: not YAML in UTF-8"):
        read_config(tmp_path / "bytes.yaml")
