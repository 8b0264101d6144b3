"""Zero-shot triples: candidates by models that haven't seen their relation, rules by other relations' labels."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from experiments.zero_shot import __main__ as command
from experiments.zero_shot import page
from experiments.zero_shot.candidates import Candidates, assign_folds, collect_all, learned_prototypes, load, save
from experiments.zero_shot.measure import decide, figures
from experiments.zero_shot.rules import RULES
from experiments.zero_shot.sets import TextSet, described, trained_keys, with_all_labels, without_shared
from tests.runner.fakes import RELATIONS, FakeAnnotator, FakeEngine
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.runner.scorer import Scorer

DECIDED = frozenset({"P112", "P26", "P19"})
NAMES = ("Ann", "Bob", "Cyd", "Dee", "Eve", "Fay", "Gus", "Hal")


def _text(number: int, verb: str, relation: str | None) -> LabelledSentence:
    head, tail = NAMES[number % 8], NAMES[(number + 1 + number // 8 % 7) % 8]
    text = f"{head} {verb} {tail}."
    types = {"was founded by": ("ORG", "PERSON"), "was born in": ("PERSON", "GPE")}.get(verb, ("PERSON", "PERSON"))
    mentions = (Mention(0, 3, types[0]), Mention(len(text) - 4, len(text) - 1, types[1]))
    pair = LabelledPair(0, 1, frozenset({relation} if relation else ()))
    return LabelledSentence(str(number), "made", text, mentions, (pair,), DECIDED)


def _set(name: str = "made") -> TextSet:
    texts = []
    for number in range(40):
        texts += [
            _text(number, "married" if number % 5 else "met", "P26"),
            _text(number, "was founded by", "P112" if number % 4 else None),
            _text(number, "was born in", "P19"),
            _text(number, "met", None),
        ]
    return TextSet(name, texts, RELATIONS, "given", DECIDED)


#: Two models: of the three relations, one each has been seen by one of them.
SCORERS = (FakeEngine(seen=("P112",)), FakeEngine(seen=("P26", "P19")))


def _collected() -> Candidates:
    return collect_all(_set(), SCORERS, FakeAnnotator(), partial(learned_prototypes, _set().texts), lambda line: None)


def test_each_relation_goes_to_a_model_that_has_seen_it_under_no_name() -> None:
    assert assign_folds(RELATIONS, SCORERS) == {"P112": 1, "P26": 0, "P19": 0}
    with pytest.raises(DataError, match="P26 was seen by every one of the 2 models, so none is zero-shot on it"):
        assign_folds(RELATIONS, (SCORERS[1], FakeEngine(seen=("P26",))))


def test_candidates_are_all_that_types_allow_with_their_features() -> None:
    found = _collected()
    judged = found.judged
    assert set(np.unique(judged.relation[found.fold == 1])) == {RELATIONS.index("P112")}
    assert set(np.unique(judged.relation[found.fold == 0])) == {RELATIONS.index("P26"), RELATIONS.index("P19")}
    np.testing.assert_allclose(found.parts.sum(1), judged.similarity, atol=2e-4)
    assert len(judged.fact_relation) == 40 + 30 + 40
    assert judged.right.sum() == 40 + 30 + 40, "with no threshold, everything stated is a candidate"
    married = judged.similarity > 0.99
    np.testing.assert_allclose(found.nothing[married, 0], 0.5, atol=1e-3)
    unfounded = judged.relation == RELATIONS.index("P112")
    np.testing.assert_allclose(found.nothing[unfounded, 1], 1.0, atol=1e-2, err_msg="such as some that state nothing")
    np.testing.assert_allclose(found.nothing[married & ~unfounded, 1], 0.5, atol=1e-2)
    np.testing.assert_allclose(found.nothing[~married].max(0), 1.0, atol=1e-2, err_msg="two that met are like nothing")
    for fold in (0, 1):
        own = found.of_folds(partial(np.equal, fold))
        assert set(own.judged.fact_relation) == set(judged.fact_relation[found.fact_fold == fold])
        assert own.judged.right[own.judged.states[:, 0]].all()


def test_kept_candidates_are_the_same(tmp_path: Path) -> None:
    found = _collected()
    save(tmp_path / "kept" / "a.npz", found)
    again = load(tmp_path / "kept" / "a.npz")
    for one, other in ((found, again), (found.judged, again.judged)):
        for name, value in vars(one).items():
            if name != "judged":
                np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_figures(rule: str) -> None:
    found = _collected()
    line = figures(decide(found, found, RULES[rule], 3))
    assert 0 < line["written"]["f1"] <= line["best_shift"]["f1"] + 1e-9
    assert line["candidates"] == len(found.judged.score) and line["facts"] == line["reachable"] == 110


def test_a_fold_is_decided_on_by_labels_of_other_folds_alone() -> None:
    found = _collected()
    seen: list[set[int]] = []

    def fit(known: Candidates):  # type: ignore[no-untyped-def]
        seen.append(set(known.fold.tolist()) | {10 + fold for fold in known.fact_fold.tolist()})
        return lambda candidates: candidates.judged.similarity

    before = decide(found, found, fit, 3)
    assert seen == [{1, 11}, {0, 10}]
    wrong = found.judged.right.copy()
    wrong[found.fold == 0] = ~wrong[found.fold == 0]
    upset = replace(found, judged=replace(found.judged, right=wrong))
    after = decide(upset, found, RULES["one threshold"], 3)
    own = found.fold == 0
    np.testing.assert_array_equal(before.judged.score[own], after.judged.score[own])
    assert (before.judged.score[~own] != after.judged.score[~own]).any()


def test_labels_without_evidence_may_count_as_stated() -> None:
    unsure = LabelledPair(0, 1, frozenset({"P26"}), DECIDED - {"P19"})
    sure = LabelledPair(1, 0, frozenset())
    text = replace(_text(0, "met", None), pairs=(unsure, sure))
    found = with_all_labels(text, DECIDED)
    assert [(pair.relations, pair.looked_for) for pair in found.pairs] == [({"P26", "P19"}, None), (frozenset(), None)]


def test_texts_that_were_trained_on_are_left_out_with_those_that_hold_one_of_their_sentences() -> None:
    text_set = _set()
    sentence = "Ann married Bob in Paris last year."
    other, same, longer, shorter = (
        replace(text_set.texts[0], text=text)
        for text in ("Ann met Bob in Paris last year.", sentence, f"So what? {sentence} More follows.", "He won.")
    )
    trained = replace(same, text=f"He won. {sentence.upper().replace('.', ' .')}")
    found = without_shared(replace(text_set, texts=[other, same, longer, shorter]), trained_keys([trained]))
    assert (found.texts, found.shared) == ([other, shorter], 2)


def test_relations_come_from_the_catalogue() -> None:
    assert (
        described(["P26", "P112", "none"]).ids == tuple(relation for relation in described(["P112", "P26"]).ids)
        and len(described(["P26", "P112", "none"])) == 2
    )


def test_what_other_models_collected_is_not_taken_for_these_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "load_annotator", FakeAnnotator)
    monkeypatch.setattr(command, "KNOWN_SET", partial(_set, "known"))
    others = (FakeEngine(seen=("P112",)), FakeEngine(seen=("P26", "P19")))
    others[1].contract = dataclasses.replace(others[1].contract, fingerprint="0" * 32)
    for scorers in (SCORERS, SCORERS, others):
        command.candidates_of(_set(), scorers, tmp_path)
    assert len(list(tmp_path.glob("zero-shot/made-*.npz"))) == 2


def test_what_was_collected_under_other_labels_is_collected_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "load_annotator", FakeAnnotator)
    monkeypatch.setattr(command, "KNOWN_SET", partial(_set, "known"))
    text_set = _set()
    unlabelled = [replace(text, pairs=tuple(LabelledPair(p.head, p.tail, frozenset()) for p in text.pairs))
                  for text in text_set.texts]  # fmt: skip
    others = (replace(text_set, texts=unlabelled), replace(text_set, decided=frozenset({"P26"})))
    for each in (text_set, text_set, *others):
        command.candidates_of(each, SCORERS, tmp_path)
    assert len(list(tmp_path.glob("zero-shot/made-*.npz"))) == 3


def test_the_command_logs_every_rule_on_every_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        (tmp_path / "run" / "folds" / str(number)).mkdir(parents=True)
    loaded = iter([*SCORERS, SCORERS[0]])

    def load_scorer(*arguments: object) -> Scorer:
        return next(loaded)

    monkeypatch.setattr(command, "trained_on", lambda run: trained_keys([_text(0, "met", None)]))

    monkeypatch.setattr(command, "load_scorer", load_scorer)
    monkeypatch.setattr(command, "load_annotator", FakeAnnotator)
    monkeypatch.setattr(command, "KNOWN_SET", partial(_set, "known"))
    monkeypatch.setattr(command, "MEASURED", {"made": (_set,)})
    monkeypatch.setattr(command, "SETS", ("made",))
    log = tmp_path / "log.jsonl"
    flags = ["--run", str(tmp_path / "run"), "--sets", "made", "--results", str(log)]
    assert command.main(flags) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["set"], line.get("rule")) for line in lines] == [("made", None), *(("made", rule) for rule in RULES)]
    assert set(lines[0]["calibration"]) == {"all", "likely", "stored_all", "stored_likely"}
    assert lines[1]["shared"] == 2
    kept = (tmp_path / "run" / "zero-shot").glob("*.npz")
    assert sorted(path.name.partition("-")[0] for path in kept) == ["known", "made"]
    monkeypatch.setattr(page, "TITLES", {"made": "Made up", "none": "Another"})
    assert command.main(["--render", "--results", str(log)]) == 0
    text = (tmp_path / "zero-shot.md").read_text()
    own = text.split("## Made up")[1].split("## ")[0]
    assert [row.split(" | ")[0] for row in own.splitlines() if row.startswith("| ")][2:] == [
        f"| {rule}" for rule in RULES
    ]
    assert "Expected calibration error of scores fitted on other folds" in own
    assert "## Another\n\nnot run" in text and "## Contrast pairs, test half\n\nnot run" in text
    for figure in re.findall(r"\((figures/.+?)\)", own):
        assert (tmp_path / figure).stat().st_size > 1000


def test_the_page_says_what_was_measured_of_the_other_sets(tmp_path: Path) -> None:
    own = {"precision": 30.0, "recall": 20.0, "f1": 24.0, "other_recall": 50.0}
    lines = [
        {
            "set": "contrast", "pairs": 161, "ordered_right": 61.49, "states_written": 9.0, "silent_written": 3.1,
            "by_kind": {"roles": 50.0},
        },
        {"set": "semeval", "sentences": 2717, "shared": 2, "written": own, "best_threshold": own, "without_other": own},
        {
            "set": "unstated", "relations": 10, "sentences": 3966, "pairs_that_fit": 76.5, "triples": 12,
            "triples_per_100_sentences": 0.303, "at_lower_thresholds": [[0.2, 1.5]],
        },
    ]  # fmt: skip
    log = tmp_path / "zero-shot.jsonl"
    made = {"date": "2031-01-02", "device": "CPU", "models": ["a"]}
    log.write_text("".join(json.dumps(made | line) + "\n" for line in lines))
    text = page.render(log).read_text()
    assert "that one scores higher in **61.5** (roles 50)" in text
    later = made | {"date": "2031-01-03", "models": ["b"]} | lines[2]
    log.write_text(log.read_text() + json.dumps(later) + "\n")
    other = page.render(log).read_text()
    assert "## Contrast pairs, test half\n\nnot run" in other and "writes 12 triples" in other
    assert "| the default threshold | 30.0 | 20.0 | 24.0 | 50.0 |" in text
    assert "writes 12 triples, **0.30** per 100 sentences (1.50 from score 0.2 on)" in text
