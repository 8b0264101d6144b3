"""The contrast pairs are what contrast/README.md says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from zsre.relations.catalogue import load_relations
from zsre.relations.equivalents import equivalents_of
from zsre.relations.reader_contrast import ContrastPair, read_contrast_pairs

FOLDER = Path(__file__).parents[1] / "contrast"
HALVES = {name: list(read_contrast_pairs(FOLDER / f"{name}.jsonl")) for name in ("train", "test")}
KINDS = {"negation", "hypothetical", "question", "other entity", "reported", "roles"}
BOTH = pytest.mark.parametrize("half", HALVES)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'’-]+", text.lower())


def _phrases(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[start : start + 4]) for start in range(len(words) - 3)}


def _texts(pairs: Iterable[ContrastPair]) -> list[str]:
    return [sentence.text for pair in pairs for sentence in (pair.states, pair.silent)]


@BOTH
def test_the_two_sentences_have_the_same_words_and_entities(half: str) -> None:
    for pair in HALVES[half]:
        entities = [
            [sentence.text[mention.start : mention.end] for mention in sentence.mentions]
            for sentence in (pair.states, pair.silent)
        ]
        heads_and_tails = [
            (names[sentence.pairs[0].head], names[sentence.pairs[0].tail])
            for names, sentence in zip(entities, (pair.states, pair.silent), strict=True)
        ]
        assert heads_and_tails[0] == heads_and_tails[1]
        assert Counter(_words(pair.states.text)) == Counter(_words(pair.silent.text)), pair.states.text
        assert pair.states.text != pair.silent.text


@BOTH
def test_there_are_many_of_each_kind_and_none_twice(half: str) -> None:
    pairs = HALVES[half]
    kinds = Counter(pair.kind for pair in pairs)
    assert len(pairs) >= 150 and kinds.keys() == KINDS and min(kinds.values()) >= 15
    texts = _texts(pairs)
    assert len(set(texts)) == len(texts)
    known = {relation.id for relation in load_relations("wikidata")}
    assert {pair.relation for pair in pairs} <= known


def test_the_halves_share_no_relation_and_no_phrase_of_four_words() -> None:
    one, other = ({pair.relation for pair in pairs} for pairs in HALVES.values())
    assert not one & {same for relation in other for same in {relation, *equivalents_of(relation)}}
    trained, tested = (set().union(*map(_phrases, _texts(pairs))) for pairs in HALVES.values())
    assert not trained & tested


def test_whoever_looks_at_words_alone_is_at_chance() -> None:
    train, test = (_texts(pairs) for pairs in HALVES.values())
    counter = CountVectorizer(token_pattern=r"(?u)[\w'’-]+")
    stated = [1, 0] * len(HALVES["train"])
    scores = (
        LogisticRegression(max_iter=1000)
        .fit(counter.fit_transform(train), stated)
        .decision_function(counter.transform(test))
    )
    ordered = [
        (first > second) + 0.5 * (first == second) for first, second in zip(scores[::2], scores[1::2], strict=True)
    ]
    assert 0.45 <= sum(ordered) / len(ordered) <= 0.55
