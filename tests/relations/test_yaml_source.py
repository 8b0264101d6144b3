from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from zsre.relations import yaml_source
from zsre.relations.errors import RelationsFileError
from zsre.relations.yaml_source import read_yaml

PATH = Path("relations.yaml")


@pytest.fixture(params=sorted({"SafeLoader", yaml_source.LOADER.__name__}), autouse=True)
def _setting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in an empty folder, with libyaml, where there is one, and without."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(yaml_source, "LOADER", getattr(yaml, request.param))


def message(content: str | bytes | None, path: Path = PATH) -> str:
    """Return what a person is told about a file with this content, or as it is where ``None``."""
    if content is not None:
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    with pytest.raises(RelationsFileError) as caught:
        read_yaml(path)
    return str(caught.value)


@pytest.mark.parametrize("start", ["", "\ufeff", "# a comment\r\n", "---\n"])
def test_nodes_know_their_lines(start: str) -> None:
    PATH.write_bytes((start + "a: 1\r\nb:\r\n  - 2\r\n").encode())
    root = read_yaml(PATH)
    assert isinstance(root, yaml.MappingNode)
    lines = [(key.value, key.start_mark.line) for key, _ in root.value]
    assert lines == [("a", start.count("\n")), ("b", start.count("\n") + 1)]


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n", "---\n", "null\n"])
def test_empty_file(content: str) -> None:
    assert message(content) == "relations.yaml:1: the file is empty: list at least one relation under 'relations:'"


def test_missing_file_names_the_nearest() -> None:
    PATH.touch()
    assert message(None, Path("relation.yml")) == (
        "relation.yml: no such file: did you mean 'relations.yaml'? check the path"
    )
    assert message(None, Path("there/relations.yaml")) == (
        "there/relations.yaml: no such file: the folder there does not exist either; check the path"
    )


def test_folder(tmp_path: Path) -> None:
    assert message(None, tmp_path) == f"{tmp_path}: a folder, not a file: name the YAML file in it"


def test_unreadable_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Whoever runs the tests may well be allowed to read every file there is.
    monkeypatch.setattr(Path, "open", deny)
    assert message(None) == "relations.yaml: cannot be read: Permission denied: check the path and its permissions"


def test_file_that_is_not_utf8() -> None:
    content = b"relations:\n- name: caf\xe9\n  description: x\n"
    assert message(content) == "relations.yaml:2: byte 0xe9 is not UTF-8: save the file as UTF-8"


def test_utf16() -> None:
    assert message("relations:".encode("utf-16")) == (
        "relations.yaml:1: byte 0xff is not UTF-8: save the file as UTF-8"
    )


def test_control_character() -> None:
    assert message("relations:\n- name: a\x00b\n") == (
        "relations.yaml:2: character U+0000 is not allowed in YAML: remove it"
    )


def test_huge_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "MAX_BYTES", 2**20)
    assert message("a: 1\n" + "#" * 2**20) == (
        "relations.yaml: larger than 1 MiB: is this a relations file? If so, split it"
    )


@pytest.mark.parametrize(
    "content, told",
    [
        ("[" * 50_000 + "]" * 50_000, "lists and mappings inside one another"),
        ("a: !!python/object:os.system {}", "only plain values are read"),
        ("&a [*a]", "stands inside itself"),
    ],
)
def test_harm_is_refused_before_anything_is_built(content: str, told: str) -> None:
    assert told in message(content)


@pytest.mark.parametrize(
    "content, place, remedy",
    [
        ("relations:\n- name: a\n  description: who: what\n", "3: column 19", "put text that holds ': ' in quotes"),
        ("relations:\n\t- name: a\n", "2: column 1", "indent with spaces, not tabs"),
        ("relations:\n- name: @a\n", "2: column 9", "put text that starts with '@' in quotes"),
        ("relations:\n- name: *a\n", "2: column 9", "put text that starts with '*' in quotes"),
        ("relations:\n- name: 'a\n", "2: column ", "close the quotes"),
        ("relations:\n- name: a\n  head: [ORG\n", "3: column ", "close the bracket"),
        ("a: 1\n---\nb: 1", "2: column 1", "keep one document, without '---' between parts"),
        ("a: &a b\nc: &a d\n", "2: column 4", "give each '&' name once"),
        ('relations:\n- name: "a" b\n', "2: column 13", "check indentation, quotes and colons here"),
    ],
)
def test_yaml_that_does_not_parse(content: str, place: str, remedy: str) -> None:
    told = message(content)
    assert told.startswith(f"relations.yaml:{place}")
    assert ": not valid YAML: " in told
    assert told.endswith(f": {remedy}")


def test_what_was_opened_and_never_closed_is_located() -> None:
    assert "while parsing a flow sequence (line 3), " in message("relations:\n- name: a\n  head: [ORG\n\n\n")
