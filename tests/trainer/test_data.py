from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ConfigError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.trainer.config import DataConfig
from zsre.trainer.data import (
    PairSet,
    choose_pairs,
    evaluation_pairs,
    read_sources,
    trainable_relations,
    warn_of_unstated,
)

MENTIONS = (Mention(0, 1), Mention(2, 3), Mention(4, 5))
Pair = tuple[int, int, str] | tuple[int, int, str, str]


def _sentence(number: int, *pairs: Pair, source: str = "made") -> LabelledSentence:
    """Relations, and what was looked for if that is not everything, are given as words."""
    labelled = tuple(
        LabelledPair(head, tail, frozenset(relations.split()), frozenset(looked_for[0].split()) if looked_for else None)
        for head, tail, relations, *looked_for in pairs
    )
    return LabelledSentence(str(number), source, f"a b c {number}", MENTIONS, labelled)


def _config(**fields: object) -> DataConfig:
    return DataConfig(path="made.jsonl", **fields)  # type: ignore[arg-type]


def _choose(
    *sources: tuple[DataConfig, list[LabelledSentence]],
    seen: str = "born founder",
    held_out: str = "",
    symmetric: str = "",
    seed: int = 1,
) -> PairSet:
    return choose_pairs(sources, seen.split(), held_out.split(), symmetric.split(), seed)


def _targets(pairs: PairSet) -> list[tuple[str, set[str], set[str]]]:
    """The ends of each pair, what it states, and what it may be a negative for."""
    ends = [f"{head}{tail}" for sentence in pairs.sentences for head, tail in sentence.pairs]
    ids = np.asarray(pairs.relations)
    return [
        (end, set(ids[stated].tolist()), set(ids[negative].tolist()))
        for end, stated, negative in zip(ends, pairs.stated, pairs.negative, strict=True)
    ]


def _count(pairs: PairSet, relation: str) -> int:
    return int(pairs.stated[:, pairs.relations.index(relation)].sum())


def test_a_stated_pair_is_a_negative_for_the_other_relations() -> None:
    chosen = _choose((_config(), [_sentence(0, (0, 1, "born")), _sentence(1, (1, 2, "founder"))]))
    assert chosen.relations == ("born", "founder")
    assert sorted(_targets(chosen)) == [("01", {"born"}, {"founder"}), ("12", {"founder"}, {"born"})]


def test_a_sentence_keeps_the_order_in_which_its_pairs_and_targets_go_together() -> None:
    pairs: list[Pair] = [(0, 1, "born"), (1, 0, "founder"), (1, 2, "born founder"), (2, 0, "founder")]
    for seed in range(5):
        (*targets,) = _targets(_choose((_config(), [_sentence(0, *pairs)]), seed=seed))
        assert {(ends, tuple(sorted(stated))) for ends, stated, _ in targets} == {
            ("01", ("born",)), ("10", ("founder",)), ("12", ("born", "founder")), ("20", ("founder",)),
        }  # fmt: skip


def test_the_cap_of_a_relation_holds_for_each_source() -> None:
    one = [_sentence(number, (0, 1, "born" if number % 2 else "founder")) for number in range(40)]
    two = [_sentence(number, (0, 1, "born"), source="other") for number in range(40)]

    chosen = _choose((_config(per_relation=7), one), (_config(per_relation=4), two))

    assert (_count(chosen, "born"), _count(chosen, "founder")) == (7 + 4, 7)
    assert chosen.source_counts == {"made": 14, "other": 4}


def test_which_pairs_are_chosen_depends_on_the_seed() -> None:
    sentences = [_sentence(number, (0, 1, "born")) for number in range(40)]
    texts = [
        [sentence.text for sentence in _choose((_config(per_relation=5), sentences), seed=seed).sentences]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_unrelated_pairs_are_capped_and_come_after_the_stated_ones() -> None:
    sentences = [_sentence(number, (0, 1, ""), (1, 2, ""), (2, 0, "born")) for number in range(20)]

    none = _choose((_config(), sentences))
    some = _choose((_config(unrelated=5), sentences))
    crowded = _choose((_config(unrelated=100, pairs_per_sentence=2), sentences))

    assert len(_targets(none)) == 20
    assert len(_targets(some)) == 25 and _count(some, "born") == 20
    assert all(len(sentence.pairs) == 2 for sentence in crowded.sentences) and _count(crowded, "born") == 20


def test_an_unrelated_pair_is_a_negative_for_the_relations_of_its_own_data() -> None:
    own = [_sentence(0, (0, 1, "born")), _sentence(1, (0, 1, ""))]
    other = [_sentence(2, (0, 1, "founder"))]
    chosen = _choose((_config(unrelated=1), own), (_config(), other))
    assert ("01", set(), {"born"}) in _targets(chosen)


def test_only_what_was_looked_for_can_be_a_negative() -> None:
    sentences = [
        _sentence(0, (0, 1, "born", "born home")),
        _sentence(1, (1, 2, "", "home")),
        _sentence(2, (2, 0, "founder home")),
        _sentence(3, (0, 2, "", "elsewhere")),
    ]
    chosen = _choose((_config(unrelated=9), sentences), seen="born founder home")
    assert sorted(_targets(chosen)) == [
        ("01", {"born"}, {"home"}),
        ("12", set(), {"home"}),
        ("20", {"founder", "home"}, {"born"}),
    ]


def test_held_out_relations_are_not_used_even_as_negatives() -> None:
    sentences = [
        _sentence(0, (0, 1, "born")),
        _sentence(1, (0, 1, "singer")),
        _sentence(2, (1, 2, "born singer")),
        _sentence(3, (2, 0, "")),
    ]
    chosen = _choose((_config(unrelated=9), sentences), seen="born", held_out="singer")
    assert chosen.relations == ("born",)
    assert sorted(_targets(chosen)) == [("01", {"born"}, set()), ("20", set(), {"born"})]


def test_reversed_pairs_are_negatives_for_what_the_pair_states() -> None:
    sentences = [
        _sentence(0, (0, 1, "born sibling")),
        _sentence(1, (1, 2, "founder"), (2, 1, "")),
        _sentence(2, (0, 2, "sibling")),
    ]
    chosen = _choose((_config(reversed=True), sentences), seen="born founder sibling", symmetric="sibling")
    unstated = [target for target in _targets(chosen) if not target[1]]
    # The second pair is annotated the other way round already, the third reads the same both ways.
    assert unstated == [("10", set(), {"born"})]


def test_the_cap_of_a_sentence_holds_for_reversed_pairs_too() -> None:
    sentences = [_sentence(0, (0, 1, "born"), (1, 2, "born"), (2, 0, "born"))]
    for cap in (1, 2, 3, 4):
        chosen = _choose((_config(reversed=True, pairs_per_sentence=cap), sentences))
        assert [len(sentence.pairs) for sentence in chosen.sentences] == [cap]


def test_relations_of_other_data_are_negatives_unless_close_in_meaning() -> None:
    """Nobody looked for P25 (mother) in the data that states P22 (father), and a sentence may say both."""
    assert "P25" in equivalents_of("P22") and "P3373" in equivalents_of("P22", "near")
    one = [_sentence(0, (0, 1, "P22"))]
    other = [_sentence(1, (0, 1, relation), source="other") for relation in ("P25", "P3373", "P19")]

    chosen = _choose((_config(), one), (_config(), other), seen="P22 P25 P3373 P19")

    targets = [negative for _, stated, negative in _targets(chosen) if stated == {"P22"}]
    assert targets == [{"P19"}]
    # Within one data set all are annotated, so the others don't hold.
    assert ("01", {"P25"}, {"P3373", "P19"}) in _targets(chosen)


def test_relations_close_in_meaning_can_be_kept_from_being_negatives() -> None:
    """Where each sentence has but one label, P3373 (sibling) may hold beside P22 (father)."""
    sentences = [_sentence(number, (0, 1, relation)) for number, relation in enumerate(("P22", "P3373", "P19"))]
    chosen = _choose((_config(near_negatives=False), sentences), seen="P22 P3373 P19")
    negatives = {min(stated): negative for _, stated, negative in _targets(chosen)}
    assert negatives == {"P19": {"P22", "P3373"}, "P22": {"P19"}, "P3373": {"P19"}}


def test_relations_of_other_data_can_be_kept_from_being_negatives() -> None:
    one = [_sentence(0, (0, 1, "born")), _sentence(1, (0, 1, "home"))]
    other = [_sentence(2, (0, 1, "author"), source="other")]
    chosen = _choose((_config(foreign_negatives=False), one), (_config(), other), seen="born home author")
    negatives = {min(stated): negative for _, stated, negative in _targets(chosen)}
    assert negatives == {"born": {"home"}, "home": {"born"}, "author": {"born", "home"}}


def test_relations_left_out_of_a_source_are_stated_by_the_others_alone() -> None:
    one = [_sentence(0, (0, 1, "born home")), _sentence(1, (1, 2, "home"))]
    other = [_sentence(2, (2, 0, "home"), source="other")]
    sources = ((_config(leave_out=("home",)), one), (_config(), other))

    chosen = _choose(*sources, seen="born home")

    # What the first pair states it is no negative for, worth training on or not.
    assert sorted(_targets(chosen)) == [("01", {"born"}, set()), ("20", {"home"}, {"born"})]


def test_trainable_relations_are_those_that_some_source_does_not_leave_out() -> None:
    one = [_sentence(0, (0, 1, "born home")), _sentence(1, (1, 2, "author"))]
    other = [_sentence(2, (2, 0, "home"))]
    sources = ((_config(leave_out=("home", "author")), one), (_config(), other))
    assert trainable_relations(sources) == {"born", "home"}


def test_data_that_states_nothing_to_train_on_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the data states none of the relations to train on; check 'split'"):
        _choose((_config(unrelated=3), [_sentence(0, (0, 1, "singer")), _sentence(1, (0, 1, ""))]))


def test_evaluation_takes_pairs_that_state_exactly_one_of_its_relations() -> None:
    sentences = [
        _sentence(0, (0, 1, "home")),
        _sentence(1, (0, 1, "home singer")),
        _sentence(2, (1, 2, "born"), (2, 1, "singer")),
        *(_sentence(number, (0, 2, "home")) for number in range(3, 30)),
    ]

    found, gold = evaluation_pairs([(_config(), sentences)], ["home", "singer"], 4, 1)

    assert sorted(gold) == ["home"] * 4 + ["singer"]
    assert all(len(sentence.pairs) == 1 for sentence in found)
    (singer,) = (sentence for sentence, relation in zip(found, gold, strict=True) if relation == "singer")
    assert (singer.text, singer.pairs) == ("a b c 2", ((2, 1),))
    assert evaluation_pairs([(_config(), sentences)], ["home", "singer"], 4, 1) == (found, gold)
    assert len(evaluation_pairs([(_config(), sentences)], ["home"], None, 1)[1]) == 28


def test_sources_are_read_from_the_data_folder(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSRE_DATA", str(tiny_data))
    config = DataConfig(path="labelled.jsonl")
    ((found, sentences),) = read_sources([config])
    assert found is config and len(sentences) == 240


def test_ids_that_nothing_states_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    sources = (
        (_config(leave_out=("home", "place of birth")), [_sentence(1, (0, 1, "born home"))]),
        (_config(leave_out=("author",)), [_sentence(2, (0, 1, "author"))]),
    )
    warn_of_unstated(sources, ("author", "P91", "born"))
    assert [record.getMessage() for record in caplog.records] == [
        "leave_out: made.jsonl states none of place of birth; leave_out takes the ids of relations",
        "held_out: the data states none of P91; held_out takes the ids of relations",
    ]
    caplog.clear()
    warn_of_unstated(sources[1:], ("author",))
    assert not caplog.records
