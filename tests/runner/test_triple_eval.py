from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.runner.fakes import RELATIONS, jsonl, make_job, run_file
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.relation import RelationSet
from zsre.runner.corpus import CutSettings
from zsre.runner.flags import Entities
from zsre.runner.gold import decided_relations
from zsre.runner.job import Job
from zsre.runner.triple_eval import Measured, measure

FOUNDED_BY, SPOUSE, BORN_IN = range(3)
DECIDED = frozenset({"P112", "P26", "P19"})


def _labelled(
    text: str, stated: dict[tuple[str, str], str], types: dict[str, str | None] | None = None
) -> LabelledSentence:
    """A text whose labels name the two ends of each pair; it is complete."""
    names = list(dict.fromkeys([*(types or {}), *(end for ends in stated for end in ends)]))
    spans = [(text.index(name), text.index(name) + len(name)) for name in names]
    mentions = tuple(Mention(*span, (types or {}).get(name, "PERSON")) for name, span in zip(names, spans, strict=True))
    pairs = tuple(
        LabelledPair(names.index(head), names.index(tail), frozenset({relation}))
        for (head, tail), relation in stated.items()
    )
    return LabelledSentence(text, "made", text, mentions, pairs, DECIDED)


SPOUSE_TO = replace(RELATIONS["P26"], symmetric=False)
WEDDING = _labelled("Ann married Bo.", {("Ann", "Bo"): "P26"})
#: Cy is no label, and Globex was founded by nobody.
FOUNDING = _labelled("Acme was founded by Ann but Globex by Cy.", {("Acme", "Ann"): "P112"}, {"Acme": "ORG"})
BIRTH = _labelled("Dee was born in Rome.", {("Dee", "Rome"): "P19"}, {"Rome": None})


def _measure(entities: Entities, *sentences: LabelledSentence, job: Job | None = None) -> Measured:
    return measure(job or make_job(), sentences, decided_relations(sentences), entities)


def test_writes_what_extraction_writes(tmp_path: object) -> None:
    measured = _measure("spacy", WEDDING, FOUNDING, BIRTH)
    path = tmp_path / "corpus.jsonl"  # type: ignore[operator]
    path.write_bytes(jsonl({"text": sentence.text} for sentence in (WEDDING, FOUNDING, BIRTH)))
    rows = [row for result in run_file(path, make_job(), CutSettings()) for row in result.table.to_pylist()]
    assert measured.written.score.tolist() == [row["score"] for row in rows]
    assert [RELATIONS.ids[relation] for relation in measured.written.relation] == [row["relation_id"] for row in rows]
    assert measured.counts.scored_pairs > 0


def test_thresholds_of_relations_are_applied_before_rivals_are_left_out() -> None:
    """Of a relation and its inverse only the better comes out, unless its own threshold has held it back."""
    wed = replace(SPOUSE_TO, inverse="P26b")
    relations = RelationSet((wed, replace(SPOUSE_TO, id="P26b", name="wed by", inverse="P26")), source="made")
    job = make_job(relations)
    measured = measure(job, [WEDDING], DECIDED, "given", again=True)
    assert measured.again is not None and measured.possible.relation.tolist() == [0]
    rules = replace(job.rules, thresholds=np.array([0.9, 0.3]))
    assert measured.again(rules).relation.tolist() == [1]
    assert measured.again(job.rules).score.tolist() == measured.written.score.tolist()
    assert _measure("given", WEDDING).again is None


def test_entities_of_a_pipeline_are_judged_by_overlap() -> None:
    """The sentence is about founding, so every organisation is said to be founded by whoever comes after it."""
    written = _measure("spacy", FOUNDING).written
    assert sorted(written.right.tolist()) == [False, False, True]
    assert written.fact_score.tolist() == [pytest.approx(0.8174)]
    assert written.fact_reachable.tolist() == [True]


def test_given_entities_leave_out_what_is_not_labelled() -> None:
    written = _measure("given", FOUNDING).written
    assert written.right.tolist() == [True]


def test_both_adds_what_is_found_and_types_what_is_given() -> None:
    assert len(_measure("both", FOUNDING).written.right) == 3
    # Untyped, Rome could be anything; the pipeline says that it is a place.
    given = _measure("given", BIRTH).possible
    both = _measure("both", BIRTH).possible
    assert SPOUSE in given.relation.tolist()
    assert set(both.relation.tolist()) == {BORN_IN}


def test_a_fact_whose_argument_is_no_candidate_is_out_of_reach() -> None:
    sentence = _labelled("Ann married the painter.", {("Ann", "painter"): "P26"})
    measured = _measure("spacy", sentence, WEDDING)
    assert measured.written.fact_reachable.tolist() == [False, True]
    assert np.isnan(measured.written.fact_score[0])
    assert _measure("given", sentence).written.fact_score.tolist() == [pytest.approx(0.8174)]


def test_possible_triples_are_those_below_the_threshold_too() -> None:
    measured = _measure("given", WEDDING, job=make_job(threshold=0.9))
    assert len(measured.written.score) == 0
    assert measured.possible.right.tolist() == [True]
    assert measured.written.fact_score.tolist()[0] != measured.possible.fact_score.tolist()[0]


def test_undecided_triples_are_counted_apart() -> None:
    sentence = LabelledSentence(
        "1", "made", WEDDING.text, WEDDING.mentions, (LabelledPair(0, 1, frozenset(), frozenset({"P112"})),)
    )
    measured = _measure("given", sentence, WEDDING)
    assert measured.written.undecided == 1
    assert measured.written.right.tolist() == [True]


def test_nothing_to_extract() -> None:
    measured = _measure("given", LabelledSentence("1", "made", "Nobody is here.", (), ()))
    assert len(measured.written.score) == len(measured.possible.fact_score) == 0


def test_labels_that_nothing_possible_answers_to_are_counted() -> None:
    """Bo stands in the second sentence, and types forbid what the third text says."""
    apart = _labelled("Ann met Cy. Bo married Dee.", {("Ann", "Bo"): "P26", ("Bo", "Dee"): "P26"})
    forbidden = _labelled("Ann met Cy.", {("Ann", "Cy"): "P112"})
    measured = _measure("given", WEDDING, apart, forbidden)
    assert (measured.labels, measured.unmet) == (4, 2)
