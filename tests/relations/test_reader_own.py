import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.errors import OutputError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.readers import read_labelled, write_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
Stated: TypeAlias = Callable[[LabelledSentence], set[tuple[str, str, str]]]
OWN = {
    "id": "a",
    "text": "Ann Lee's firm, Acme, grew.",
    "mentions": [{"start": 16, "end": 20, "type": "ORG"}, {"start": 0, "end": 7}],
    "pairs": [{"head": 0, "tail": 1, "relations": ["P112"], "looked_for": ["P112", "P127"]}],
}


def without(record: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in record.items() if name != key}


def test_own_format_has_defaults(save: Save) -> None:
    spare = {**OWN, "pairs": [{"head": 0, "tail": 1, "relations": []}]}
    [sentence] = read_labelled(save(json.dumps(spare), "mine.jsonl"))
    assert sentence.source == "mine"
    assert sentence.mentions == (Mention(16, 20, "ORG"), Mention(0, 7, None))
    assert sentence.pairs == (LabelledPair(0, 1, frozenset(), None),)


def test_repeated_span_is_one_mention(save: Save, stated: Stated) -> None:
    mentions = [*OWN["mentions"], {"start": 0, "end": 7, "type": "PERSON"}]
    pairs = [{"head": 2, "tail": 0, "relations": ["P108"]}]
    [sentence] = read_labelled(save(json.dumps({**OWN, "mentions": mentions, "pairs": pairs})))
    assert len(sentence.mentions) == 2
    assert stated(sentence) == {("Ann Lee", "P108", "Acme")}


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        (without(OWN, "text"), 'line 1: field "text": is missing; this format needs it'),
        ({**OWN, "text": 7}, 'line 1: field "text": 7 is not a string; write it in quotes'),
        ({**OWN, "text": " "}, "line 1: the text is empty; remove the record"),
        (
            {**OWN, "text": "Ann Lee \ud800 and Acme Co"},
            r"line 1: the text holds the lone surrogate '\ud800' at 8",
        ),
        ({**OWN, "mentions": {}}, 'line 1: field "mentions": {} is not a list; write it as […]'),
        (
            {**OWN, "mentions": [{"start": 16, "end": 99}]},
            'line 1: field "mentions[0].start": [16, 99] is no span of a text of 27 characters; offsets count',
        ),
        (
            {**OWN, "mentions": [{"start": 9, "end": 10}]},
            'line 1: field "mentions[0].start": [9, 10] is an empty mention; give the characters that name the entity',
        ),
        (
            {**OWN, "mentions": [{"start": True, "end": 2}]},
            'field "mentions[0].start": true is not a whole number',
        ),
        (
            {**OWN, "pairs": [{"head": 0, "tail": 2, "relations": []}]},
            'line 1: field "pairs[0].tail": there is no mention 2 among 2; indices count from 0',
        ),
        (["x"], 'line 1: ["x"] is not a JSON object; write it as {…}'),
    ],
)
def test_broken_record(save: Save, failure: Failure, record: object, seen: str) -> None:
    message = failure(save(json.dumps(record)), "zsre")
    assert message.startswith("FILE")
    assert seen in message


@st.composite
def sentences(draw: st.DrawFn) -> LabelledSentence:
    """A sentence of words of which some are mentions, with some of their pairs."""
    words = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1), min_size=2, max_size=6)
    )
    starts = [sum(len(word) + 1 for word in words[:index]) for index in range(len(words))]
    types = draw(st.lists(st.none() | st.text(), min_size=len(words), max_size=len(words)))
    mentions = tuple(
        Mention(start, start + len(word), type) for start, word, type in zip(starts, words, types, strict=True)
    )
    ends = st.tuples(*[st.integers(0, len(words) - 1)] * 2).filter(lambda pair: pair[0] != pair[1])
    ids = st.frozensets(st.text(max_size=3), max_size=3)
    pairs = draw(st.lists(st.builds(lambda e, r, f: LabelledPair(*e, r, f), ends, ids, st.none() | ids), max_size=4))
    plain = st.text(st.characters(exclude_categories=["Cs"]))
    return LabelledSentence(draw(plain), draw(plain), " ".join(words), mentions, tuple(pairs), draw(ids))


@given(written_down=st.lists(sentences(), min_size=1, max_size=4))
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, written_down: list[LabelledSentence]
) -> None:
    path = tmp_path_factory.mktemp("own") / "data.jsonl"
    write_labelled(path, written_down)
    assert list(read_labelled(path)) == written_down


def test_write_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"gone/data\.jsonl: cannot be written: No such file or directory"):
        write_labelled(tmp_path / "gone" / "data.jsonl", [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError(28, "No space left on device")])
def test_sentences_that_end_early_leave_the_file_that_was_there(tmp_path: Path, error: BaseException) -> None:
    def stopped() -> Iterator[LabelledSentence]:
        yield LabelledSentence("new", "made", "Ada met Bo.", (), ())
        raise error

    path = tmp_path / "data.jsonl"
    path.write_text("before")
    with pytest.raises((KeyboardInterrupt, RuntimeError, OutputError)):
        write_labelled(path, stopped())
    assert [(own.name, own.read_text()) for own in tmp_path.iterdir()] == [("data.jsonl", "before")]
