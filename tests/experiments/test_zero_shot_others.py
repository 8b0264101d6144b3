"""Contrast pairs, SemEval's nominals and relations that nobody states, on a fake model."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from experiments.zero_shot import ordered, others
from experiments.zero_shot.others import (
    CONTRAST,
    HERE,
    LOWER,
    fitting_share,
    gold_class,
    measure_contrast,
    measure_semeval,
    measure_unstated,
    own_similarities,
    semeval_figures,
)
from experiments.zero_shot.sets import trained_keys
from tests.runner.fakes import CALIBRATION, RELATIONS, FakeAnnotator, FakeEngine, jsonl
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_semeval import SEMEVAL_RELATIONS
from zsre.relations.readers import read_labelled
from zsre.relations.relations_file import read_relations

SEMEVAL = read_relations(HERE / "semeval.yaml")
DATA = Path(os.environ.get("ZSRE_DATA", "data")) / "redocred" / "test.json.gz"


def _semeval(directed: str, order: tuple[int, int]) -> LabelledSentence:
    """A sentence of two nominals, of which the first is e1; its pairs come with the stated one first."""
    mentions = (Mention(0, 3), Mention(12, 15))
    pairs = (LabelledPair(*order, frozenset({directed})), LabelledPair(*order[::-1], frozenset()))
    return LabelledSentence("1", "semeval", "Ann married Bob.", mentions, pairs)


def _people(text: str) -> dict[str, object]:
    """A text whose first and last word are people, without a label."""
    spans = [(0, 3), (len(text) - 4, len(text) - 1)]
    mentions = [{"start": start, "end": end, "type": "PERSON"} for start, end in spans]
    return {"id": text, "text": text, "mentions": mentions, "pairs": []}


def test_semeval_s_nine_relations_are_described() -> None:
    assert set(SEMEVAL.ids) == SEMEVAL_RELATIONS


def test_a_class_is_a_relation_and_its_way_round_in_the_text() -> None:
    place = SEMEVAL.index("Entity-Origin")
    assert gold_class(_semeval("Entity-Origin", (0, 1)), SEMEVAL) == place
    assert gold_class(_semeval("Entity-Origin", (1, 0)), SEMEVAL) == 9 + place
    other = LabelledSentence("1", "semeval", "x y", (Mention(0, 1), Mention(2, 3)), (LabelledPair(0, 1, frozenset()),))
    assert gold_class(other, SEMEVAL) == -1


def test_semeval_s_scorer_wants_the_direction_and_leaves_other_out_of_the_mean() -> None:
    """Of relation 0, one is right, one has the wrong way round, one is missed; relation 1 was given for an Other."""
    gold = np.array([0, 0, 2, -1, -1])
    given = np.array([0, 2, -1, 1, -1])
    found = semeval_figures(gold, given, relations=2)
    assert found["precision"] == pytest.approx(100 * (1 / 2 + 0) / 2, abs=0.01)
    assert found["recall"] == pytest.approx(100 * (1 / 3 + 0) / 2, abs=0.01)
    assert found["f1"] == pytest.approx(100 * (2 * (1 / 2) * (1 / 3) / (5 / 6) + 0) / 2, abs=0.01)
    assert found["other_recall"] == 50.0


def test_semeval_s_figures_are_those_that_its_own_scorer_prints() -> None:
    """The confusion matrix and the macro figures of a run of version 1.2 on 2,706 answers of somebody's model."""
    # A row for each relation that is stated, and Other; a column for each that is given; then those reversed.
    confusion = """
        300   0   0   0   4   1   0   2   2  12
          1 235   5   1   1  11  11   6   3  29
          0   5 160   7   2   0   1   1   1  11
          0   2   7 264   0   0   0   1   1  16
          3   1   1   4 226   1   0   1   3  16
          0   4   1   1   1 118   0   4   5  21
          0   4   0   0   2   0 206   1   0  19
          1   5   0   1   2   0   2 229   1  19
          5   1   2   0   4   9   0   3 177  27
         16  25  18  23  27  24  29  33  26 231
    """
    reversed_answers = (3, 8, 4, 1, 1, 0, 0, 1, 2)
    counts = [[int(count) for count in line.split()] for line in confusion.split("\n") if line.strip()]
    classes = (*range(9), -1)
    answers = [
        answer
        for stated, row in zip(classes, counts, strict=True)
        for given, count in zip(classes, row, strict=True)
        for answer in [(stated, given)] * count
    ]
    answers += [
        answer for relation, count in enumerate(reversed_answers) for answer in [(relation, 9 + relation)] * count
    ]
    gold, given = (np.array(column) for column in zip(*answers, strict=True))
    found = semeval_figures(gold, given, relations=9)
    assert len(gold) == 2706
    assert found == {"precision": 82.24, "recall": 84.38, "f1": 83.25, "other_recall": 51.11}


def test_semeval_is_classified_both_ways_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "test.txt"
    file.write_text(
        '1\t"<e1>Ann</e1> married <e2>Bob</e2>."\nEntity-Origin(e1,e2)\nComment:\n\n'
        '2\t"<e1>Ann</e1> met <e2>Bob</e2>."\nOther\nComment:\n'
    )
    (tmp_path / "semeval.yaml").write_text(
        "relations:\n"
        + "".join(
            f"  - {{name: {name}, description: whom this {'married' if name == 'Entity-Origin' else 'led'}}}\n"
            for name in sorted(SEMEVAL_RELATIONS)
        )
    )
    monkeypatch.setattr(others, "SEMEVAL_TEST", str(file))
    monkeypatch.setattr(others, "HERE", tmp_path)
    found = measure_semeval([FakeEngine(seen=("Message-Topic",)), FakeEngine()], CALIBRATION)
    assert found["sentences"] == 2
    assert found["written"] == {"precision": 11.11, "recall": 11.11, "f1": 11.11, "other_recall": 100.0}
    assert found["without_other"]["other_recall"] == 0.0
    trained = trained_keys(list(read_labelled(file))[:1])
    again = measure_semeval([FakeEngine(seen=("Message-Topic",)), FakeEngine()], CALIBRATION, trained)
    assert (again["sentences"], again["shared"]) == (1, 1)


def test_one_model_orders_pairs_whose_relations_it_may_have_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = {"relation": "P26", "kind": "negation"}
    pair |= {"states": "[h|Ann] married [t|Bob], not met", "silent": "[h|Ann] met, not marriedd [t|Bob]"}
    file = tmp_path / "contrast.jsonl"
    file.write_bytes(jsonl([pair]))
    monkeypatch.setattr(ordered, "CONTRAST", file)
    monkeypatch.setattr(ordered, "described", lambda ids: RELATIONS)
    monkeypatch.setattr(ordered, "load_scorer", lambda path, device, threads: FakeEngine(seen=("P26",)))
    assert ordered.main([]) == 0
    told = capsys.readouterr().out
    assert f"trained on 1 of {len(RELATIONS)} relations" in told
    assert "ordered right: 100.0 % of 1 pairs (negation 100)" in told
    monkeypatch.undo()
    assert ordered.main(["no.onnx"]) == 2
    assert "no such model file" in capsys.readouterr().err


def test_contrast_pairs_are_ordered_by_models_that_have_not_seen_their_relation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [
        ("P26", "negation", "[h|Ann] married [t|Bob], not met", "[h|Ann] met, not marriedd [t|Bob]"),
        ("P112", "question", "[t|Ann] and [h|Acme] met", "[t|Ann] and [h|Acme] meet"),
    ]
    file = tmp_path / "contrast.jsonl"
    file.write_bytes(
        jsonl({"relation": own, "kind": kind, "states": one, "silent": two} for own, kind, one, two in pairs)
    )
    monkeypatch.setattr(others, "CONTRAST", file)
    monkeypatch.setattr(others, "described", lambda ids: RELATIONS)
    found = measure_contrast([FakeEngine(seen=("P26",)), FakeEngine(seen=("P112", "P19"))], CALIBRATION)
    assert found == {
        "pairs": 2,
        "ordered_right": 50.0,
        "states_written": 50.0,
        "silent_written": 0.0,
        "by_kind": {"negation": 100.0, "question": 0.0},
    }, "a tie is not ordered right"
    with pytest.raises(DataError, match="P26 was seen by every one of the 1 models"):
        measure_contrast([FakeEngine(seen=("P26",))], CALIBRATION)


def test_a_pair_that_cannot_be_read_is_no_figure() -> None:
    sentences = list(read_labelled(CONTRAST))[:1]
    with pytest.raises(DataError, match="1 sentences cannot be read"):
        own_similarities(sentences, ["P26"], RELATIONS, [FakeEngine(reach=1)])


def test_what_is_written_of_relations_that_nobody_states_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_bytes(jsonl(_people(f"Ann {verb} Bob.") for verb in ("married", "met", "led", "ate")))
    (tmp_path / "unstated.yaml").write_text("relations: [{name: dentist, description: whom this married}]\n")
    monkeypatch.setattr(others, "REDOCRED_TEST", str(file))
    monkeypatch.setattr(others, "HERE", tmp_path)
    found = measure_unstated(FakeEngine(), FakeAnnotator())
    assert (found["sentences"], found["triples"], found["triples_per_100_sentences"]) == (4, 1, 25.0)
    assert [threshold for threshold, _ in found["at_lower_thresholds"]] == list(LOWER)
    assert all(share >= 25.0 for _, share in found["at_lower_thresholds"])
    with pytest.raises(DataError, match="the model has seen dentist"):
        measure_unstated(FakeEngine(seen=("dentist",)), FakeAnnotator())


@pytest.mark.skipif(not DATA.is_file(), reason="there is no redocred in the folder that ZSRE_DATA names")
def test_the_types_of_what_nobody_states_fit_most_pairs() -> None:
    assert fitting_share(list(read_labelled(DATA)), read_relations(HERE / "unstated.yaml")) >= 0.5
