"""What the tests of the readers share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.readers import read_labelled


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a data file and return its path."""

    def write(content: str | bytes, name: str = "data.json") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def failure() -> Callable[..., str]:
    """Read a file that cannot be read and return what a person sees, with FILE for its path."""

    def read(path: Path, format: str | None = None) -> str:
        with pytest.raises(DataError) as caught:
            list(read_labelled(path, format))
        return str(caught.value).replace(str(path), "FILE")

    return read


def _names(sentence: LabelledSentence) -> list[str]:
    return [sentence.text[mention.start : mention.end] for mention in sentence.mentions]


@pytest.fixture
def stated() -> Callable[[LabelledSentence], set[tuple[str, str, str]]]:
    """Return the triples that a sentence states, by the text of their mentions."""

    def triples(sentence: LabelledSentence) -> set[tuple[str, str, str]]:
        names = _names(sentence)
        return {(names[p.head], relation, names[p.tail]) for p in sentence.pairs for relation in p.relations}

    return triples


@pytest.fixture
def pair_between() -> Callable[[LabelledSentence, str, str], LabelledPair]:
    """Return the pair of two mentions given by their text."""

    def find(sentence: LabelledSentence, head: str, tail: str) -> LabelledPair:
        names = _names(sentence)
        return next(p for p in sentence.pairs if (names[p.head], names[p.tail]) == (head, tail))

    return find
