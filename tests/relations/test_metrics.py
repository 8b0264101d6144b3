import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from zsre.relations.errors import DataError
from zsre.relations.metrics import (
    Confusable,
    Confusion,
    classification_report,
    confusable_relations,
    confusion_pairs,
    expected_calibration_error,
    precision_recall_f1,
    wilson_interval,
)

LABELS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=40)


@given(LABELS)
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    report = classification_report(gold, predicted)
    assert report.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    assert report.accuracy == pytest.approx(accuracy_score(gold, predicted))
    labels = sorted({*gold, *predicted})
    expected = precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=0)
    assert list(report.relations) == labels
    for label, *scores in zip(labels, *expected, strict=True):
        mine = report.relations[label]
        assert (mine.precision, mine.recall, mine.f1, mine.support) == pytest.approx(tuple(map(float, scores)))
    assert sum(report.confusion.values()) == len(pairs)


def test_paper_averages_precision_over_predicted_and_recall_over_gold_classes() -> None:
    # b is never predicted: it doesn't lower precision, only recall.
    report = classification_report(["a", "a", "b", "c"], ["a", "c", "a", "c"])
    assert report.paper_precision == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert report.paper_recall == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert report.paper_f1 == pytest.approx(0.5)
    assert report.macro_f1 == pytest.approx((1 / 2 + 0 + 2 / 3) / 3)
    assert report.confusion == {("a", "a"): 1, ("a", "c"): 1, ("b", "a"): 1, ("c", "c"): 1}


def test_class_predicted_but_not_in_gold_costs_precision_only() -> None:
    report = classification_report(["a", "a"], ["a", "x"])
    assert report.paper_precision == pytest.approx(0.5)
    assert report.paper_recall == pytest.approx(0.5)
    assert report.relations["x"].support == 0


def test_confusions_are_the_wrong_cells_with_the_most_frequent_first() -> None:
    gold, predicted = "aaaaabbbcc", "abbbxaabaa"
    assert confusion_pairs(classification_report(list(gold), list(predicted))) == [
        Confusion("a", "b", 3, 0.6),
        # As many pairs, but all that c has, so it comes before b's.
        Confusion("c", "a", 2, 1.0),
        Confusion("b", "a", 2, pytest.approx(2 / 3)),
        Confusion("a", "x", 1, 0.2),
    ]


def test_confusable_relations_are_ranked_by_the_share_of_both_that_was_swapped() -> None:
    gold, predicted = "aaaaabbbcc", "abbbxaabaa"
    found = confusable_relations(classification_report(list(gold), list(predicted)))
    # x is stated by no pair, so a's pairs alone are looked at.
    assert found == [
        Confusable("a", "b", 3, 2, pytest.approx(5 / 8)),
        Confusable("a", "c", 0, 2, pytest.approx(2 / 7)),
        Confusable("a", "x", 1, 0, pytest.approx(1 / 5)),
    ]
    assert [each.count for each in found] == [5, 2, 1]


@given(LABELS)
def test_every_error_is_one_confusion_and_counted_once_for_its_two_relations(pairs: list[tuple[str, str]]) -> None:
    report = classification_report([g for g, _ in pairs], [p for _, p in pairs])
    wrong = sum(g != p for g, p in pairs)
    confusions, confusable = confusion_pairs(report), confusable_relations(report)
    assert sum(each.count for each in confusions) == sum(each.count for each in confusable) == wrong
    for each in confusable:
        supports = report.relations[each.first].support + report.relations[each.second].support
        assert each.first < each.second and each.share == pytest.approx(each.count / supports) and each.share <= 1
    assert [each.share for each in confusable] == sorted((each.share for each in confusable), reverse=True)


def test_nothing_is_confused_where_all_is_right() -> None:
    report = classification_report(["a", "b"], ["a", "b"])
    assert confusion_pairs(report) == confusable_relations(report) == []


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(DataError, match="no labelled instance to measure; check that the data holds the relations"):
        classification_report([], [])
    with pytest.raises(DataError, match="no score to measure"):
        expected_calibration_error([], [])


def test_all_wrong_scores_zero() -> None:
    report = classification_report(["a"], ["b"])
    assert (report.paper_f1, report.macro_f1, report.accuracy) == (0, 0, 0)


@pytest.mark.parametrize(
    ("counts", "scores"),
    [((3, 4, 6), (0.75, 0.5, 0.6)), ((0, 0, 5), (0, 0, 0)), ((0, 5, 0), (0, 0, 0)), ((2, 2, 2), (1, 1, 1))],
)
def test_micro_scores(counts: tuple[int, int, int], scores: tuple[float, float, float]) -> None:
    result = precision_recall_f1(*counts)
    assert (result.precision, result.recall, result.f1) == pytest.approx(scores)


def test_calibration_error_weighs_bins_by_what_they_hold() -> None:
    # Two bins: 0.2 with half right (off by 0.3), 0.9 and 1.0 all right (off by 0.05).
    error = expected_calibration_error([0.2, 0.2, 0.9, 1.0], [True, False, True, True], bins=2)
    assert error == pytest.approx((2 * 0.3 + 2 * 0.05) / 4)


@given(st.lists(st.booleans(), min_size=1), st.integers(1, 20))
def test_certain_and_right_is_calibrated(outcomes: list[bool], bins: int) -> None:
    probabilities = [float(outcome) for outcome in outcomes]
    if bins > 1:
        assert expected_calibration_error(probabilities, outcomes, bins) == 0
    assert expected_calibration_error(probabilities, [not o for o in outcomes], max(bins, 2)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(0, 5, 0.0, 0.4345), (5, 5, 0.5655, 1.0), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_wilson_intervals_are_those_that_are_published(right: int, count: int, low: float, high: float) -> None:
    """The last two are method 3 of table I in Newcombe, Statistics in Medicine 17 (1998)."""
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_wilson_interval_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = wilson_interval(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1
