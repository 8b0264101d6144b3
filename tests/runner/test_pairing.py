from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.examples import Mention
from zsre.runner.pairing import neighbour_reach, pair_mentions

#: No two characters of it are alike, so that no two mentions read the same by chance.
TEXT = "".join(chr(0x4E00 + index) for index in range(20_000))


def _anything(head: str | None, tail: str | None) -> bool:
    return True


def _apart(count: int) -> list[Mention]:
    return [Mention(2 * index, 2 * index + 1, "X") for index in range(count)]


def test_pairs_come_both_ways_round_by_head_then_tail() -> None:
    paired = pair_mentions(TEXT, [Mention(8, 9, "C"), Mention(0, 1, "A"), Mention(4, 5, "B")], 40, _anything)
    assert [mention.type for mention in paired.mentions] == ["A", "B", "C"]
    assert paired.pairs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))


def test_overlapping_mentions_make_no_pair_and_are_counted_both_ways() -> None:
    paired = pair_mentions(TEXT, [Mention(0, 10), Mention(3, 5), Mention(12, 14)], 40, _anything)
    assert paired.pairs == ((0, 2), (1, 2), (2, 0), (2, 1))
    assert paired.overlapping == 2


def test_mentions_that_read_the_same_make_no_pair_and_are_counted_both_ways() -> None:
    paired = pair_mentions("New York, new  york, Bo", [Mention(0, 8), Mention(10, 19), Mention(21, 23)], 40, _anything)
    assert paired.pairs == ((0, 2), (1, 2), (2, 0), (2, 1))
    assert paired.same_name == 2


def test_touching_mentions_do_not_overlap() -> None:
    assert pair_mentions(TEXT, [Mention(0, 3), Mention(3, 5)], 40, _anything).pairs == ((0, 1), (1, 0))


def test_of_the_same_span_the_first_given_stays() -> None:
    paired = pair_mentions(TEXT, [Mention(0, 3, "ORG"), Mention(5, 6, "X"), Mention(0, 3, "GPE")], 40, _anything)
    assert [mention.type for mention in paired.mentions] == ["ORG", "X"]
    assert paired.duplicates == 1


def test_pairs_that_no_relation_allows_are_left_out() -> None:
    mentions = [Mention(0, 1, "ORG"), Mention(2, 3, "PERSON")]
    paired = pair_mentions(TEXT, mentions, 40, lambda head, tail: (head, tail) == ("ORG", "PERSON"))
    assert paired.pairs == ((0, 1),)
    assert paired.unfitting == 1


def test_a_crowded_sentence_pairs_neighbours_only() -> None:
    paired = pair_mentions(TEXT, _apart(6), 3, _anything)
    assert paired.pairs == tuple((head, tail) for head in range(6) for tail in range(6) if abs(head - tail) == 1), (
        "three mentions have 6 pairs, and a reach of 1 is the least there is"
    )
    assert paired.crowded == 30 - 10


@pytest.mark.parametrize(
    ("count", "reach"), [(0, 0), (1, 0), (2, 1), (40, 39), (41, 31), (100, 8), (300, 2), (5000, 1)]
)
def test_the_reach_shrinks_with_the_crowd(count: int, reach: int) -> None:
    assert neighbour_reach(count, 40) == reach


@given(st.integers(41, 400))
def test_a_crowd_has_no_more_pairs_than_the_limit_allows(count: int) -> None:
    assert len(pair_mentions(TEXT, _apart(count), 40, _anything).pairs) <= 40 * 39


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from("AB")), max_size=12),
    st.integers(2, 5),
)
def test_every_pair_is_kept_or_counted(spans: list[tuple[int, int, str]], most: int) -> None:
    mentions = [Mention(start, start + length, kind) for start, length, kind in spans]
    paired = pair_mentions(TEXT, mentions, most, lambda head, tail: head == "A")
    count = len(paired.mentions)
    assert count + paired.duplicates == len(mentions)
    assert len(paired.pairs) + paired.overlapping + paired.same_name + paired.crowded + paired.unfitting == count * (
        count - 1
    )
