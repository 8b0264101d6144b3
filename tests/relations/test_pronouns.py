import pytest

from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.pronouns import is_pronoun, without_pronouns


@pytest.mark.parametrize("text", ["he", "His", "who", "where", "itself", "I", "their"])
def test_pronouns(text: str) -> None:
    assert is_pronoun(text)


@pytest.mark.parametrize("text", ["US", "IT", "WHO", "He Ping", "Ann", ""])
def test_names_that_look_like_pronouns(text: str) -> None:
    assert not is_pronoun(text)


def test_pairs_with_pronouns_are_left_out_and_the_rest_keeps_its_meaning() -> None:
    text = "He and Ann run Acme."
    mentions = (Mention(0, 2), Mention(7, 10, "PERSON"), Mention(15, 19, "ORG"))
    pairs = (
        LabelledPair(0, 2, frozenset({"P108"})),
        LabelledPair(1, 2, frozenset({"P108"}), frozenset({"P108"})),
        LabelledPair(2, 0, frozenset()),
    )
    kept = without_pronouns(LabelledSentence("1", "test", text, mentions, pairs, frozenset({"P108"})))
    assert kept.mentions == mentions[1:]
    assert kept.pairs == (LabelledPair(0, 1, frozenset({"P108"}), frozenset({"P108"})),)
    assert (kept.id, kept.text, kept.complete) == ("1", text, {"P108"})
