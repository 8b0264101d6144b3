from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from tests.runner.fakes import RELATIONS, FakeEngine
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.relation import Relation, RelationSet
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner import evaluate as evaluate_module
from zsre.runner.evaluate import (
    Evaluation,
    Example,
    Passed,
    evaluate,
    joined,
    sample_per_relation,
    sentence_key,
    single_relation_pairs,
    some,
    trained_sentences,
    without_shared,
)

FOUNDED, MARRIED, BORN = "Acme was founded by Ann.", "Ann married Bob, they say.", "Bob was born in Paris."
#: What the fake engine takes for the relation of each word, and what the label says: founded is right in 3 of 4, …
MEASURED = [
    (FOUNDED, "P112"), (MARRIED, "P26"), (FOUNDED, "P112"), (MARRIED, "P112"), (FOUNDED, "P112"), (BORN, "P26"),
    (FOUNDED, "P26"), (MARRIED, "P26"),
]  # fmt: skip


def example(text: str, relation: str, pair: tuple[int, int] = (0, 1)) -> Example:
    mentions = (Mention(0, 3), Mention(len(text) - 4, len(text) - 1))
    return PairSentence(text, mentions, (pair,)), relation


def examples(given: Iterable[tuple[str, str]] = MEASURED) -> list[Example]:
    return [example(text, relation) for text, relation in given]


def measured(given: Iterable[Example], engine: FakeEngine | None = None, passed: Passed | None = None) -> Evaluation:
    return evaluate(engine or FakeEngine(), given, RELATIONS, passed or Passed())


def sentence(text: str, *relations: set[str]) -> LabelledSentence:
    pairs = tuple(LabelledPair(index % 2, 1 - index % 2, frozenset(ids)) for index, ids in enumerate(relations))
    return LabelledSentence("1", "some", text, (Mention(0, 3), Mention(4, 7)), pairs)


def test_pairs_of_one_measured_relation_are_examples_and_the_rest_is_counted() -> None:
    data = [
        sentence("one two", {"P112"}, set(), {"P112", "P26"}, {"P999"}),
        sentence("six ten", {"P998"}, {"P19"}, {"P999"}, {"P998", "P999"}, set(), set()),
    ]
    passed = Passed()
    found = list(single_relation_pairs(data, RELATIONS, passed))
    assert [(pair.text, pair.pairs, relation) for pair, relation in found] == [
        ("one two", ((0, 1),), "P112"),
        ("six ten", ((1, 0),), "P19"),
    ]
    assert found[0][0].mentions == data[0].mentions
    assert passed == Passed(unrelated=3, several=2, other=Counter(P999=2, P998=1))
    assert sum(len(each.pairs) for each in data) == len(found) + 3 + 2 + 3, "they add up"


@pytest.mark.parametrize(
    "copy",
    [
        'Acme (Ltd.) was founded by Ann\'s "Trust" in 1973.',
        "Acme ( Ltd . ) was founded by Ann 's `` Trust '' in 1973 .",
        "acme (ltd.) was founded by ann’s “trust” in 1973",
        "Ａcme\u00a0(Ltd.) was founded by Ann's Trust in 1973.",
    ],
)
def test_a_sentence_is_the_same_however_a_data_set_writes_it(copy: str) -> None:
    assert sentence_key(copy) == sentence_key('Acme (Ltd.) was founded by Ann\'s "Trust" in 1973.')


def test_other_sentences_are_not_the_same() -> None:
    different = ["Ann was born in 1973.", "Ann was born in 1974.", "Ann was born in 1973, and Bob.", "?", "!", "(Ann)"]
    assert len({sentence_key(text) for text in different}) == len(different)


def test_sentences_count_as_trained_on_where_training_could_use_them() -> None:
    data = [
        sentence("one two", {"P26"}),
        sentence("six ten", {"P19"}, {"P26", "P112"}),
        sentence("may be a negative", {"P19"}, set()),
        sentence("held out", {"P19"}, {"P112"}),
        sentence("no pair"),
    ]
    assert trained_sentences(data, ("P26",)) == {
        sentence_key(text) for text in ("one two", "six ten", "may be a negative")
    }


def test_pairs_in_sentences_of_the_training_data_are_counted_and_left_out() -> None:
    given, passed = examples(), Passed()
    found = list(without_shared(given, {sentence_key("ANN married Bob , they say ."), sentence_key("other")}, passed))
    assert found == [each for each in given if each[0].text != MARRIED]
    assert passed == Passed(shared=3)


def drawn(given: list[Example], per_relation: int, seed: int) -> list[Example]:
    return sample_per_relation(given, per_relation, seed, Passed())


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    given = examples((f"{number} {FOUNDED}", "P112" if number % 3 else "P26") for number in range(60))
    passed = Passed()
    found = sample_per_relation(iter(given), 5, 13, passed)
    assert Counter(relation for _, relation in found) == {"P112": 5, "P26": 5}
    assert passed.beyond == 50
    assert found == drawn(given, 5, 13) != drawn(given, 5, 14)
    assert found == sorted(found, key=given.index), "in the order of the data"


def test_a_sample_of_more_than_there_is_is_all_there_is() -> None:
    passed = Passed()
    assert sample_per_relation(examples(), 4, 13, passed) == examples()
    assert passed.beyond == 0


def test_the_sample_of_a_relation_does_not_depend_on_the_others() -> None:
    given = examples((f"{number} {FOUNDED}", "P112" if number % 3 else "P26") for number in range(60))
    alone = [each for each in given if each[1] == "P112"]
    assert drawn(alone, 5, 13) == [each for each in drawn(given, 5, 13) if each[1] == "P112"]


def test_every_example_is_as_likely_to_be_drawn() -> None:
    given = examples((f"{number} {FOUNDED}", "P112") for number in range(10))
    counts = Counter(each[0].text for seed in range(1000) for each in drawn(given, 3, seed))
    assert len(counts) == 10
    assert all(240 < count < 360 for count in counts.values()), "300 expected, with a deviation of 14"


def test_figures_are_those_of_the_predictions() -> None:
    found = measured(examples())
    predicted = ["P112", "P26", "P112", "P26", "P112", "P19", "P112", "P26"]
    gold = [relation for _, relation in MEASURED]
    assert found.report.confusion == Counter(zip(gold, predicted, strict=True))
    assert (found.pairs, found.left_out) == (8, 0)
    # Precision over what was predicted (P112 3/4, P26 2/3, P19 0/1), recall over what is there (P112 3/4, P26 2/4).
    precision, recall = (3 / 4 + 2 / 3 + 0) / 3, (3 / 4 + 2 / 4) / 2
    assert found.report.paper_precision == pytest.approx(precision)
    assert found.report.paper_recall == pytest.approx(recall)
    assert found.report.paper_f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert found.report.macro_f1 == pytest.approx((3 / 4 + 2 * (2 / 3 * 2 / 4) / (2 / 3 + 2 / 4) + 0) / 3)
    assert found.report.macro_f1 == pytest.approx(
        precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)[2]
    )


def test_encoding_and_comparing_are_timed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part takes a time of its own on a clock that only they move."""
    clock = 0.0

    def spend(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    class Slow(FakeEngine):
        def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
            spend(100 if not self.batches else len(sentences))
            return super().encode(sentences)

        def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
            spend(1000)
            return super().relation_vectors(relations)

    def slowly_read() -> Iterator[Example]:
        for each in examples():
            spend(10_000)
            yield each

    monkeypatch.setattr(evaluate_module, "CHUNK", 3)
    monkeypatch.setattr(evaluate_module, "perf_counter", lambda: clock)
    found = measured(slowly_read(), Slow(reach=20))
    assert (found.seconds, found.pairs) == (8, 5), "three of the eight pairs cannot be read"
    assert found.pairs_per_second == pytest.approx(5 / 8)


def test_a_clock_that_did_not_move_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "perf_counter", lambda: 0.0)
    assert measured(examples()).pairs_per_second > 0


def test_only_the_given_relations_are_chosen_among() -> None:
    few = RelationSet((RELATIONS["P26"], RELATIONS["P19"]))
    found = evaluate(FakeEngine(), examples([(FOUNDED, "P26"), (BORN, "P19")]), few, Passed())
    assert set(found.report.relations) <= {"P26", "P19"}
    assert found.relations is few


def test_relations_without_a_pair_are_named() -> None:
    assert measured(examples([(BORN, "P26")])).without_pairs == ("P112", "P19"), "P19 was predicted, but is nowhere"


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_the_size_of_a_chunk_changes_no_figure(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "CHUNK", size)
    engine, told = FakeEngine(reach=20), list[int]()
    found = evaluate(engine or FakeEngine(), iter(examples()), RELATIONS, Passed(), told.append)
    assert len(engine.batches[1:]) == len(told) == -(-8 // size), "and a first run that isn't timed"
    assert told[-1] == 8
    assert told == sorted(told)
    whole = measured(examples(), FakeEngine(reach=20))
    assert (found.report, found.pairs, found.left_out) == (whole.report, whole.pairs, whole.left_out)


def test_pairs_that_cannot_be_read_are_counted_and_shift_nothing() -> None:
    readable = [(FOUNDED, "P112"), (BORN, "P19"), (FOUNDED, "P112"), (BORN, "P19")]
    given = [(MARRIED, "P26"), *readable[:2], (MARRIED, "P26"), *readable[2:]]
    found = measured(examples(given), FakeEngine(reach=20))
    assert (found.pairs, found.left_out) == (4, 2)
    assert found.report.accuracy == 1
    assert found.without_pairs == ("P26",)


def test_pairs_of_one_sentence_are_encoded_together() -> None:
    given = [
        example(MARRIED, "P26", (0, 1)),
        example(MARRIED, "P26", (1, 0)),
        example(FOUNDED, "P112"),
        example(MARRIED, "P26", (0, 1)),
    ]
    assert [(each.text, each.pairs) for each in joined(given)] == [
        (MARRIED, ((0, 1), (1, 0))),
        (FOUNDED, ((0, 1),)),
        (MARRIED, ((0, 1),)),
    ]
    other_mentions = PairSentence(MARRIED, (Mention(4, 8), Mention(0, 3)), ((0, 1),))
    assert len(joined([given[0], (other_mentions, "P26")])) == 2
    found = measured(given)
    assert (found.pairs, found.report.accuracy) == (4, 1)


def test_overlap_with_training_is_found() -> None:
    tested = RelationSet(tuple(Relation(id, id, "who married") for id in ("P26", "P155", "P159", "P177")))
    found = evaluate(FakeEngine(seen=("P26", "P156", "P740")), [example(MARRIED, "P26")], tested, Passed()).overlap
    assert found.identical == {"P26"}
    assert found.same == {"P26": ("P26",), "P155": ("P156",)}
    assert found.near == {"P159": ("P740",)}


def refusal(given: Iterable[Example], passed: Passed, engine: FakeEngine | None = None) -> str:
    with pytest.raises(DataError) as caught:
        measured(given, engine, passed)
    return str(caught.value)


def test_data_with_other_relations_alone() -> None:
    assert refusal([], Passed(other=Counter({"founder": 2, "spouse": 5}))) == (
        "no pair of the data states exactly one of the 3 relations (P112, P26, P19); it states spouse, founder: "
        "give relations with these ids"
    )


def test_data_without_a_relation() -> None:
    assert refusal([], Passed(unrelated=3)) == (
        "no pair of the data states exactly one of the 3 relations (P112, P26, P19); check that it is labelled"
    )


def test_data_whose_every_sentence_was_trained_on() -> None:
    assert refusal([], Passed(shared=1234, training_data=("a.json", "b.json"), other=Counter(P1=1))) == (
        "all 1,234 pairs that could be measured stand in sentences of the training data (a.json, b.json); measure on "
        "other data, or without --training-data"
    )


def test_data_that_the_model_cannot_read() -> None:
    assert refusal(examples(), Passed(), FakeEngine(reach=1)) == (
        "the model can read none of the 8 pairs: their mentions lie further apart than it reads, or have no token "
        "that it knows; check the mentions' offsets"
    )


def test_a_message_shows_some_ids() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefgh")) == "a, b, c, d, e, f, g, h"
    assert some(list("abcdefghi")) == "a, b, c, d, e, f, g, h, …"
    assert some(["a", "b", "c"], limit=2, separator="; ") == "a; b; …"


def test_vectors_are_all_that_is_asked_of_a_model() -> None:
    class Recorded(FakeEngine):
        def encode(self, sentences: object) -> PairVectors:
            assert isinstance(sentences, list) and all(isinstance(each, PairSentence) for each in sentences)
            return super().encode(sentences)

    assert measured(iter(examples()), Recorded()).pairs == 8
