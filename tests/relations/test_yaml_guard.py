from __future__ import annotations

import pytest
import yaml

from zsre.relations import yaml_guard
from zsre.relations.errors import RelationsFileError
from zsre.relations.yaml_guard import MAX_ALIASED, MAX_DEPTH, YamlGuard


def watch(text: str) -> None:
    guard = YamlGuard("relations.yaml")
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        guard.check(event)


def message(text: str) -> str:
    with pytest.raises(RelationsFileError) as caught:
        watch(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["a: !!str 1", "a: !!int 1", "a: ! no", "a: !!seq [b]", "a: &x {b: c}\nd: *x\ne: [*x, *x]"],
)
def test_plain_tags_and_small_aliases_pass(text: str) -> None:
    watch(text)


@pytest.mark.parametrize("tag", ["!!python/object:os.system", "!!python/name:os.system", "!mine", "!!set", "!!binary"])
def test_other_tags_are_refused(tag: str) -> None:
    text = message(f"relations:\n- name: {tag} {{}}\n")
    assert text.startswith("relations.yaml:2: tag ")
    assert text.endswith(": only plain values are read: remove the tag")


def test_aliases_that_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    assert message("\n".join(lines)) == (
        f"relations.yaml:5: alias *a3: aliases expand to more than {MAX_ALIASED:,} values: write out what is meant"
    )


@pytest.mark.parametrize(
    "text, added",
    [
        ("a: &x 1\nb: *x", 1),
        ("a: &x [1, 2]\nb: *x", 3),
        ("a: &x [1, 2]\nb: &y {c: *x}\nd: *y", 3 + 5),
        ("a: [1, 2, 3, 4]\nb: [5, 6, 7]", 0),
    ],
)
def test_size_that_aliases_add(text: str, added: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_guard, "MAX_ALIASED", added)
    watch(text)
    monkeypatch.setattr(yaml_guard, "MAX_ALIASED", added - 1)
    if added:
        assert "aliases expand to more than" in message(text)


def test_alias_inside_itself() -> None:
    text = message("relations: &all\n- name: a\n  head: [*all]\n")
    assert text == "relations.yaml:3: alias *all stands inside itself: write out what is meant"


@pytest.mark.parametrize("closing", ["", "]" * 10_000])
def test_deep_nesting(closing: str) -> None:
    text = message("relations: " + "[" * 10_000 + closing)
    assert text == (
        f"relations.yaml:1: more than {MAX_DEPTH} lists and mappings inside one another: "
        "close the brackets or mend the indentation"
    )


def test_nesting_up_to_the_limit() -> None:
    watch("[" * MAX_DEPTH + "]" * MAX_DEPTH)
