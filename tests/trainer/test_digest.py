"""What counts as other data or texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.relation import Argument, Relation
from zsre.trainer.digest import calibration_digest, reading_digest, weights_digest

PAIR = LabelledPair(0, 1, frozenset({"P19"}), frozenset({"P19", "P20"}))
SENTENCE = LabelledSentence("1", "made", "ada was born in avalon .", (Mention(0, 3), Mention(16, 22)), (PAIR,))
BORN = Relation("P19", "born", "was born there", Argument(("PERSON",)), Argument(terms=("city",)))
TEXTS = {"P19": [BORN], "P20": [replace(BORN, id="P20", name="died")]}
PLAIN = reading_digest([[SENTENCE]], TEXTS, {"P19"}, ["P20"])


@pytest.mark.parametrize(
    "sentence",
    [
        replace(SENTENCE, text="ada was born in avalon !"),
        replace(SENTENCE, mentions=(Mention(0, 3), Mention(16, 21))),
        replace(SENTENCE, pairs=(replace(PAIR, head=1, tail=0),)),
        replace(SENTENCE, pairs=(replace(PAIR, relations=frozenset({"P20"})),)),
        replace(SENTENCE, pairs=(replace(PAIR, looked_for=None),)),
    ],
)
def test_another_sentence_mention_or_pair(sentence: LabelledSentence) -> None:
    assert reading_digest([[sentence]], TEXTS, {"P19"}, ["P20"]) != PLAIN


@pytest.mark.parametrize("relation", ["P19", "P20"])
@pytest.mark.parametrize("change", [{"description": "came from there"}, {"tail": Argument(terms=("town",))}])
def test_another_text_of_a_relation_to_train_or_to_choose_on(relation: str, change: dict[str, object]) -> None:
    other = TEXTS | {relation: [replace(TEXTS[relation][0], **change)]}  # type: ignore[arg-type]
    assert reading_digest([[SENTENCE]], other, {"P19"}, ["P20"]) != PLAIN


def test_more_sources_and_other_validation_relations() -> None:
    assert reading_digest([[SENTENCE], [SENTENCE]], TEXTS, {"P19"}, ["P20"]) != PLAIN
    assert reading_digest([[SENTENCE, SENTENCE]], TEXTS, {"P19"}, ["P20"]) != PLAIN
    assert reading_digest([[SENTENCE]], TEXTS, {"P19"}, ["P19"]) != PLAIN


def test_names_and_what_nobody_uses_are_not_told_apart() -> None:
    named = replace(SENTENCE, id="2", source="other")
    unused = TEXTS | {"P50": [replace(BORN, id="P50")]}
    assert reading_digest([[named]], unused, {"P19"}, ["P20"]) == PLAIN
    assert PLAIN == "24001bd73abd96b6f0f7ab7595d31128", "the same in every process and version"


def test_weights_are_told_by_their_values_and_names() -> None:
    def built(*layers: nn.Module) -> str:
        return weights_digest(nn.Sequential(*layers))

    torch.manual_seed(1)
    one, other = nn.Linear(2, 3), nn.LayerNorm(3)
    plain = built(one, other)
    assert built(one, other) == plain
    assert built(other, one) != plain
    with torch.no_grad():
        one.bias[1] += 1e-6
    assert built(one, other) != plain


@pytest.mark.parametrize(
    "sentence",
    [
        replace(SENTENCE, text="ada was born in avalon !"),
        replace(SENTENCE, mentions=(Mention(0, 3, "PERSON"), Mention(16, 22))),
        replace(SENTENCE, pairs=(replace(PAIR, relations=frozenset({"P20"})),)),
    ],
)
def test_another_sentence_type_or_pair_to_calibrate_on(sentence: LabelledSentence) -> None:
    assert calibration_digest([[sentence]], TEXTS, {"P19"}) != calibration_digest([[SENTENCE]], TEXTS, {"P19"})


def test_another_text_of_a_relation_to_calibrate_on() -> None:
    plain = calibration_digest([[SENTENCE]], TEXTS, {"P19"})
    assert calibration_digest([[SENTENCE]], TEXTS | {"P19": [replace(BORN, description="other")]}, {"P19"}) != plain
    assert calibration_digest([[replace(SENTENCE, id="2")]], TEXTS | {"P20": []}, {"P19"}) == plain
    assert plain == "acc66bdab6e1b4e03849dbd7ad19cb10", "the same in every process and version"
