from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runner.fakes import (
    BORN_IN,
    FOUNDED_BY,
    RELATIONS,
    SPOUSE,
    TYPES,
    FakeAnnotator,
    FakeEngine,
    held_shard,
    make_job,
)
from zsre.relations.relation import Argument, Relation, RelationSet
from zsre.relations.relations_file import read_relations
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.engine import load_engine
from zsre.runner.explain import Considered, ExplainedPair, Explanation, Verdict, explain
from zsre.runner.explain_report import pair_objects
from zsre.runner.job import Job
from zsre.runner.lines import RawLine
from zsre.runner.pairing import LeftOut
from zsre.runner.records import Record, RecordSettings, parse_line
from zsre.runner.rules import make_rules
from zsre.runner.stages import process_shard
from zsre.runner.triples import COLUMNS

PEOPLE = Argument(("PERSON",))
LEADS = Relation("leads", "leads", "whom this person leads", PEOPLE, PEOPLE, inverse="led")
LED = Relation("led", "led by", "by whom this person was led", PEOPLE, PEOPLE)


def _limited(job: Job, most: int) -> Job:
    return replace(job, rules=replace(job.rules, max_relations=most))


def _explained(text: str, job: Job, top: int = 3, **fields: object) -> Explanation:
    line = json.dumps({"text": text, **fields}).encode()
    record = parse_line(RawLine(1, line, len(line)), "test", RecordSettings())
    assert isinstance(record, Record)
    return explain(record, job, top)


def _pair(explanation: Explanation, head: str, tail: str) -> ExplainedPair:
    (pair,) = [pair for sentence in explanation.only(head, tail).sentences for pair in sentence.pairs]
    return pair


def _verdicts(explanation: Explanation, head: str, tail: str) -> dict[str, Verdict]:
    return {own.relation.id: own.verdict for own in _pair(explanation, head, tail).relations}


def _considered(explanation: Explanation, head: str, tail: str, relation: str) -> Considered:
    (own,) = [own for own in _pair(explanation, head, tail).relations if own.relation.id == relation]
    return own


def _written_by_explain(text: str, job: Job, top: int = 3, **fields: object) -> list[dict[str, object]]:
    rows = []
    for pair in pair_objects(_explained(text, job, top, **fields)):
        written = [own for own in pair["relations"] if own["verdict"] == "written"]
        rows += [{name: value for name, value in {**pair, **own}.items() if name in COLUMNS} for own in written]
    return rows


def _written_by_extract(text: str, job: Job, **fields: object) -> list[dict[str, object]]:
    line = json.dumps({"text": text, **fields}).encode()
    rows = process_shard(held_shard([line]), job).table.to_pylist()
    return [{name: value for name, value in row.items() if name not in ("triple_id", "doc_id")} for row in rows]


def _names(rows: Sequence[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(row["head"], row["relation_id"], row["tail"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "job", "written"),
    [
        ("Ann founded Acme.  Ann married Bob. Acme was founded by Dee.", make_job(), [
            ("Ann", "P26", "Bob"), ("Acme", "P112", "Dee"),
        ]),
        ("Ann married Bob and Cy.", make_job(RelationSet((SPOUSE,)), threshold=0.3), [
            ("Ann", "P26", "Bob"), ("Ann", "P26", "Cy"), ("Bob", "P26", "Cy"),
        ]),
        ("Ann leads Bob.", make_job(RelationSet((LEADS, LED)), threshold=0.0), [
            ("Ann", "leads", "Bob"),
        ]),
        ("Ann met Acme in Rome.", make_job(RelationSet((BORN_IN, FOUNDED_BY)), threshold=0.0), [
            ("Ann", "P19", "Rome"), ("Acme", "P112", "Ann"),
        ]),
        ("Ann married Bob.", _limited(make_job(RelationSet((SPOUSE, LEADS, LED)), threshold=0.0), 1), [
            ("Ann", "P26", "Bob"),
        ]),
        ("Ann ate. Rome and Paris.", make_job(), []),
    ],
    ids=["thresholds", "symmetric", "inverse", "types", "most", "nothing"],
)  # fmt: skip
def test_what_is_called_written_is_what_extraction_writes(
    text: str, job: Job, written: list[tuple[object, ...]]
) -> None:
    rows = _written_by_explain(text, job)
    assert _names(rows) == written
    assert rows == _written_by_extract(text, job)


class RandomEngine(FakeEngine):
    """Pairs and relations match by chance, the same whenever the same is asked."""

    def __init__(self, seed: int, reach: int) -> None:
        super().__init__(reach)
        self._seed = seed

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        found, random = super().encode(sentences), np.random.default_rng(self._seed)
        mentions, contexts = (random.normal(0, 0.3, array.shape) for array in (found.mentions, found.contexts))
        return replace(found, mentions=mentions.astype(np.float16), contexts=contexts.astype(np.float16))

    def relation_vectors(self, relations: RelationSet):  # type: ignore[no-untyped-def]
        return np.random.default_rng(self._seed + 1).normal(0, 0.3, (len(relations), 3, 8)).astype(np.float32)


ENDS = st.sampled_from([Argument(), PEOPLE, Argument(("ORG",)), Argument(("GPE", "PERSON"))])
THRESHOLDS = st.sampled_from([None, 0.0, 0.0005, 0.3])


@st.composite
def relation_sets(draw: st.DrawFn) -> RelationSet:
    names = [f"r{number}" for number in range(draw(st.integers(1, 6)))]
    return RelationSet(
        tuple(
            Relation(
                name, name, name, draw(ENDS), draw(ENDS), draw(THRESHOLDS), draw(st.booleans()),
                draw(st.sampled_from([None, None, *names])),
            )
            for name in names
        )
    )  # fmt: skip


@settings(max_examples=150)
@given(
    relations=relation_sets(),
    words=st.lists(
        st.sampled_from(["Ann", "Bob", "ANN", "Cy", "Acme", "Globex", "Rome", "met", "\x00."]), min_size=2, max_size=9
    ),
    seed=st.integers(0, 1000),
    most=st.integers(1, 3),
    top=st.integers(1, 3),
    mentions=st.integers(2, 5),
)
def test_whatever_the_relations_explain_and_extract_agree(
    relations: RelationSet, words: list[str], seed: int, most: int, top: int, mentions: int
) -> None:
    job = make_job(relations, RandomEngine(seed, reach=25), threshold=0.0005, max_mentions=mentions)
    text = " ".join(words)
    rows = _written_by_explain(text, _limited(job, most), top)
    assert rows == _written_by_extract(text, _limited(job, most))


@pytest.mark.parametrize("threshold", [0.0, 0.55])
def test_the_tiny_model_is_explained_as_it_extracts(tiny_model: Path, tiny_data: Path, threshold: float) -> None:
    described = read_relations(tiny_data / "relations.yaml")
    changes = {"born": {"symmetric": True}, "home": {"inverse": "singer"}, "author": {"head": PEOPLE}}
    relations = RelationSet(tuple(replace(own, **changes.get(own.id, {})) for own in described))
    engine = load_engine(tiny_model, "cpu", 1)
    rules = make_rules(relations, engine.contract, threshold, 2)
    job = Job(RecordSettings(), FakeAnnotator(TYPES), engine, relations, rules)
    text = "Ada was born in Paris . Bo is a singer from Rome and lives near Acme by Avalon ."
    rows = _written_by_explain(text, job, top=1)
    assert rows == _written_by_extract(text, job)
    assert len(rows) > 6 or threshold


def test_figures_are_those_of_a_triple_and_the_threshold_is_the_relations_own() -> None:
    job = make_job(RelationSet((SPOUSE, replace(LEADS, threshold=0.9, inverse=None))))
    own, other = _pair(_explained("Ann married Bob.", job), "Ann", "Bob").relations
    assert (own.relation, own.verdict, own.threshold) == (SPOUSE, Verdict.WRITTEN, 0.5)
    assert (own.score, own.similarity) == (0.8174, 0.9999)
    assert (own.similarity_head, own.similarity_tail, own.similarity_context) == (0.25, 0.25, 0.4999)
    assert (other.verdict, other.threshold, other.similarity) == (Verdict.BELOW_THRESHOLD, 0.9, 0.5)
    assert (own.margin, other.margin) == (0.4999, -0.4999)
    alone = _pair(_explained("Ann married Bob.", make_job(RelationSet((SPOUSE,)))), "Ann", "Bob").relations
    assert [own.margin for own in alone] == [None]


def test_a_fact_that_is_said_the_other_way_round_names_what_says_it() -> None:
    found = _explained("Ann married Bob.", make_job(RelationSet((SPOUSE,)), threshold=0.3))
    assert _verdicts(found, "Ann", "Bob") == {"P26": Verdict.WRITTEN}
    own = _considered(found, "Bob", "Ann", "P26")
    assert own.verdict is Verdict.OTHER_WAY_ROUND and own.other_way is not None
    assert (own.other_way.head, own.other_way.relation, own.other_way.tail) == ("Ann", "spouse", "Bob")
    assert (own.other_way.similarity, own.similarity, own.other_way.written) == (0.9999, 0.8, True)


def test_the_better_inverse_says_it_even_where_it_is_one_relation_too_many() -> None:
    twin = Relation("twin", "twin", "who married this person")
    found = _explained("Ann married Bob.", _limited(make_job(RelationSet((twin, SPOUSE)), threshold=0.3), 1))
    assert _verdicts(found, "Ann", "Bob") == {"twin": Verdict.WRITTEN, "P26": Verdict.BEYOND_MAX_RELATIONS}
    own = _considered(found, "Bob", "Ann", "P26")
    assert own.verdict is Verdict.OTHER_WAY_ROUND and own.other_way is not None
    assert (own.other_way.relation, own.other_way.written) == ("spouse", False)


def test_of_two_that_say_it_better_the_best_is_named() -> None:
    best = Relation("best", "best", "whom this person married", inverse="own")
    good = Relation("good", "good", "whom this person likes", inverse="own")
    own = Relation("own", "own", "by whom this was founded")
    found = _explained("Ann married Bob.", make_job(RelationSet((good, best, own)), threshold=0.0))
    other_way = _considered(found, "Bob", "Ann", "own").other_way
    assert other_way is not None and other_way.relation == "best"


def test_relations_that_the_types_exclude_are_shown_if_they_match_better() -> None:
    relations = RelationSet((BORN_IN, SPOUSE, FOUNDED_BY))
    found = _explained("Ann married Rome.", make_job(relations))
    assert _verdicts(found, "Ann", "Rome") == {"P26": Verdict.TYPES, "P19": Verdict.BELOW_THRESHOLD}
    own = _considered(found, "Ann", "Rome", "P26")
    assert (own.similarity, own.margin, own.other_way) == (0.9999, 0.4999, None)
    assert [one.relation.id for one in _pair(found, "Ann", "Rome").relations] == ["P26", "P19"], "the best score first"
    twice = RelationSet((SPOUSE, replace(SPOUSE, id="P26b"), BORN_IN))
    assert list(_verdicts(_explained("Ann married Rome.", make_job(twice), top=1), "Ann", "Rome")) == ["P26", "P19"]


def test_top_limits_what_is_shown_but_hides_nothing_that_is_written() -> None:
    described = [Relation(f"r{number}", f"r{number}", "who married this person") for number in range(5)]
    relations = RelationSet(
        (
            *described[:4],
            replace(described[4], threshold=0.0, description="whom this person likes", tail=Argument(("GPE",))),
        )
    )
    high = make_job(relations, threshold=0.9)
    assert _verdicts(_explained("Ann married Rome.", high, top=2), "Ann", "Rome") == {
        "r0": Verdict.BELOW_THRESHOLD,
        "r1": Verdict.BELOW_THRESHOLD,
        "r4": Verdict.WRITTEN,
    }
    low = make_job(relations)
    assert _verdicts(_explained("Ann married Rome.", low, top=4), "Ann", "Rome") == {
        "r0": Verdict.WRITTEN,
        "r1": Verdict.WRITTEN,
        "r2": Verdict.WRITTEN,
        "r3": Verdict.BEYOND_MAX_RELATIONS,
    }


def test_a_pair_that_is_not_scored_says_why() -> None:
    text = "\x00 saw Ann Bee and ANN  bee and Rome and Bob met Cy."
    spans = {"nul": (0, 1), "ann": (6, 13), "bee": (10, 13), "again": (18, 26), "rome": (31, 35), "bob": (40, 43)}
    labels = {"rome": "GPE"}
    entities = [
        {"start": start, "end": end, "label": labels.get(name, "PERSON")} for name, (start, end) in spans.items()
    ]
    found = _explained(text, make_job(RelationSet((SPOUSE,)), FakeEngine(reach=20)), entities=entities)
    (sentence,) = found.sentences
    assert len(sentence.pairs) == 6 * 5

    def reason(head: str, tail: str) -> LeftOut | None:
        ends = [spans[head], spans[tail]]
        places = [[(pair.head.start, pair.head.end), (pair.tail.start, pair.tail.end)] for pair in sentence.pairs]
        return sentence.pairs[places.index(ends)].left_out

    assert reason("nul", "ann") is LeftOut.TOKENLESS
    assert reason("bob", "nul") is LeftOut.TOKENLESS
    assert reason("ann", "bee") is reason("bee", "ann") is LeftOut.OVERLAPPING
    assert reason("again", "ann") is LeftOut.SAME_NAME
    assert reason("rome", "bob") is LeftOut.UNFITTING
    assert reason("ann", "bob") is LeftOut.LONG
    assert reason("bee", "again") is None
    assert not any(pair.relations for pair in sentence.pairs if pair.left_out)
    assert all(pair.relations for pair in sentence.pairs if not pair.left_out)


def test_a_crowded_sentence_says_which_pairs_are_far_apart() -> None:
    found = _explained("Ann, Bob, Cy and Dee married", make_job(max_mentions=2))
    (sentence,) = found.sentences
    crowded = [(pair.head.text, pair.tail.text) for pair in sentence.pairs if pair.left_out is LeftOut.CROWDED]
    assert crowded == [("Ann", "Cy"), ("Ann", "Dee"), ("Bob", "Dee"), ("Cy", "Ann"), ("Dee", "Ann"), ("Dee", "Bob")]
    assert found.max_mentions == 2


def test_every_sentence_is_there_with_its_mentions_and_what_was_left_out_of_them() -> None:
    text = "nobody here. Ann met Bob. Rome fell."
    spans = [(13, 16, "PERSON"), (13, 16, "ORG"), (21, 24, "PERSON"), (21, 30, "X"), (26, 30, "GPE")]
    entities = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    found = _explained(text, make_job(), entities=entities)
    assert [sentence.text for sentence in found.sentences] == ["nobody here.", "Ann met Bob.", "Rome fell."]
    assert [[mention.text for mention in sentence.mentions] for sentence in found.sentences] == [
        [],
        ["Ann", "Bob"],
        ["Rome"],
    ]
    assert [sentence.duplicates for sentence in found.sentences] == [0, 1, 0]
    assert found.crossing == 1
    for sentence in found.sentences:
        assert text[sentence.start : sentence.end] == sentence.text
        assert all(text[mention.start : mention.end] == mention.text for mention in sentence.mentions)
    assert [(mention.type, mention.start) for mention in found.sentences[1].mentions] == [
        ("PERSON", 13),
        ("PERSON", 21),
    ]


def test_only_some_pairs_can_be_asked_for_in_any_case_and_spacing() -> None:
    found = _explained("Ann married Bob and Cy. ann met Dee.", make_job(RELATIONS))

    def pairs(head: str | None, tail: str | None) -> list[tuple[str, str]]:
        chosen = found.only(head, tail)
        assert len(chosen.sentences) == 2
        return [(pair.head.text, pair.tail.text) for sentence in chosen.sentences for pair in sentence.pairs]

    assert pairs(" aNN", None) == [("Ann", "Bob"), ("Ann", "Cy")]
    assert pairs(None, "DEE") == []
    assert pairs("bob", "cy") == [("Bob", "Cy")]
    assert pairs("An", None) == []
    assert len(pairs(None, None)) == 6
