"""Leave pronouns out of labelled sentences: an entity pipeline doesn't mark them, so extraction never sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from zsre.relations.examples import LabelledPair, LabelledSentence

_PERSONAL: Final = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself "
    "she her hers herself it its itself they them their theirs themselves themself one oneself"
)
_RELATIVE: Final = "who whom whose whoever which where that this these those"
_PRONOUNS: Final = frozenset(f"{_PERSONAL} {_RELATIVE}".split())


def is_pronoun(text: str) -> bool:
    """Tell whether a mention is a personal, possessive, reflexive, relative or demonstrative pronoun in English."""
    # "US" is a country, "us" a pronoun; no pronoun but "I" is written in capitals.
    return text.strip().lower() in _PRONOUNS and not (len(text) > 1 and text.isupper())


def without_pronouns(sentence: LabelledSentence) -> LabelledSentence:
    """Return a sentence without the mentions that are pronouns and the pairs they are in."""
    kept = [
        index
        for index, mention in enumerate(sentence.mentions)
        if not is_pronoun(sentence.text[mention.start : mention.end])
    ]
    place = {old: new for new, old in enumerate(kept)}
    pairs = tuple(
        LabelledPair(place[pair.head], place[pair.tail], pair.relations, pair.looked_for)
        for pair in sentence.pairs
        if pair.head in place and pair.tail in place
    )
    mentions = tuple(sentence.mentions[index] for index in kept)
    return replace(sentence, mentions=mentions, pairs=pairs)
