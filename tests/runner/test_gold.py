from __future__ import annotations

import pytest

from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.relation import Relation, RelationSet
from zsre.runner.gold import Fact, Gold, Span, Verdict, decided_relations

#: Ann Lee at 0 to 7, Bo at 15 to 17, Acme at 22 to 26.
TEXT = "Ann Lee married Bo of Acme."
ANN, BO, ACME = (0, 7), (16, 18), (22, 26)
FATHER, CHILD, SPOUSE, EMPLOYER, FOUNDER = range(5)
RELATIONS = RelationSet(
    (
        Relation("P22", "father", "whose father this is", inverse="P40"),
        Relation("P40", "child", "whose child this is", inverse="P22"),
        Relation("P26", "spouse", "the person married to", symmetric=True),
        Relation("P108", "employer", "whom this person works for"),
        Relation("P112", "founded by", "who founded this"),
    )
)


def _gold(*pairs: LabelledPair, complete: tuple[str, ...] = (), everything: tuple[str, ...] = ()) -> Gold:
    mentions = tuple(Mention(*span) for span in (ANN, BO, ACME))
    sentence = LabelledSentence("1", "made", TEXT, mentions, pairs, frozenset(complete))
    return Gold(sentence, RELATIONS, frozenset(everything) or decided_relations([sentence]))


def _pair(head: int, tail: int, *stated: str, looked_for: tuple[str, ...] | None = None) -> LabelledPair:
    return LabelledPair(head, tail, frozenset(stated), None if looked_for is None else frozenset(looked_for))


class TestJudging:
    def test_a_mention_that_overlaps_is_as_good_as_the_same(self) -> None:
        gold = _gold(_pair(1, 2, "P108"))
        judgement = gold.judge("P108", BO, (25, 27))
        assert judgement.verdict is Verdict.RIGHT
        assert judgement.facts == {Fact(EMPLOYER, 1, 2)}

    def test_the_other_direction_is_wrong_where_it_was_decided_on(self) -> None:
        gold = _gold(_pair(1, 2, "P108"), _pair(2, 1))
        assert gold.judge("P108", ACME, BO).verdict is Verdict.WRONG

    def test_what_nobody_looked_for_is_open(self) -> None:
        gold = _gold(_pair(1, 2, looked_for=("P112",)), everything=("P108", "P112"))
        assert gold.judge("P112", BO, ACME).verdict is Verdict.WRONG
        assert gold.judge("P108", BO, ACME).verdict is Verdict.OPEN

    def test_a_relation_that_the_data_set_does_not_know_is_open(self) -> None:
        gold = _gold(_pair(1, 2, "P108"))
        assert gold.judge("P112", BO, ACME).verdict is Verdict.OPEN

    @pytest.mark.parametrize(("complete", "verdict"), [(("P108",), Verdict.WRONG), ((), Verdict.OPEN)])
    def test_a_pair_that_is_not_listed(self, complete: tuple[str, ...], verdict: Verdict) -> None:
        gold = _gold(_pair(1, 2, "P108"), complete=complete)
        assert gold.judge("P108", ANN, ACME).verdict is verdict

    def test_a_mention_that_is_no_entity_is_wrong_where_the_text_is_complete(self) -> None:
        gold = _gold(_pair(1, 2, "P108"), complete=("P108",))
        assert gold.judge("P108", (8, 15), ACME).verdict is Verdict.WRONG

    def test_one_pair_left_open_leaves_the_triple_open(self) -> None:
        """The span covers both Bo and Acme: of one nothing is known, so the other's answer is not enough."""
        gold = _gold(_pair(0, 1, looked_for=("P112",)), _pair(0, 2), everything=("P108", "P112"))
        assert gold.judge("P108", ANN, (16, 26)).verdict is Verdict.OPEN


class TestDirections:
    @pytest.mark.parametrize("ends", [(ANN, BO), (BO, ANN)])
    def test_a_symmetric_fact_counts_once_and_is_right_either_way(self, ends: tuple[Span, Span]) -> None:
        gold = _gold(_pair(0, 1, "P26"), _pair(1, 0, "P26"))
        assert gold.facts == {Fact(SPOUSE, 0, 1)}
        assert gold.judge("P26", *ends).facts == gold.facts

    def test_a_fact_and_its_inverse_are_one(self) -> None:
        gold = _gold(_pair(0, 1, "P40"), _pair(1, 0, "P22"))
        assert gold.facts == {Fact(FATHER, 1, 0)}
        assert gold.judge("P40", ANN, BO).facts == gold.judge("P22", BO, ANN).facts == gold.facts

    def test_a_fact_labelled_one_way_is_right_the_other_way(self) -> None:
        gold = _gold(_pair(0, 1, "P40"), _pair(1, 0))
        assert gold.judge("P22", BO, ANN).verdict is Verdict.RIGHT
        assert gold.judge("P22", ANN, BO).verdict is Verdict.WRONG


def test_relations_that_are_not_asked_for_are_no_facts() -> None:
    gold = _gold(_pair(0, 1, "P26", "P999"), _pair(1, 2, "P108"))
    assert gold.facts == {Fact(SPOUSE, 0, 1), Fact(EMPLOYER, 1, 2)}


def test_facts_within_reach_need_both_arguments() -> None:
    gold = _gold(_pair(0, 1, "P26"), _pair(1, 2, "P108"), _pair(2, 0, "P112"))
    assert gold.within_reach([(BO, (0, 3))]) == {Fact(SPOUSE, 0, 1)}
    assert gold.within_reach([(ANN, ACME), (ACME, BO)]) == {Fact(EMPLOYER, 1, 2), Fact(FOUNDER, 2, 0)}
    assert gold.within_reach([]) == frozenset()


class TestLabels:
    def test_what_is_stated_or_denied_by_name_counts_once_whichever_way_round(self) -> None:
        pairs = (
            _pair(0, 1, "P26", looked_for=("P26", "P108", "P19")),
            _pair(1, 0, looked_for=("P26",)),
            _pair(1, 2, "P112"),
        )
        labels = {Fact(SPOUSE, 0, 1), Fact(EMPLOYER, 0, 1), Fact(FOUNDER, 1, 2)}
        assert _gold(*pairs, everything=("P22", "P40")).labels == labels

    @pytest.mark.parametrize("ends", [(ANN, BO), (BO, (0, 3))])
    def test_a_triple_answers_to_labels_that_overlap_it(self, ends: tuple[Span, Span]) -> None:
        gold = _gold(_pair(0, 1, looked_for=("P26",)), _pair(1, 2, "P26"))
        assert gold.judge("P26", *ends).labels == {Fact(SPOUSE, 0, 1)}
        assert gold.judge("P108", *ends).labels == frozenset()
