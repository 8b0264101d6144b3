"""From the mentions of a sentence to the ordered pairs that are worth scoring; whatever is left out is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from zsre.relations.examples import Mention

#: Tells whether some relation allows a head of the first type and a tail of the second.
Admits = Callable[[str | None, str | None], bool]


class LeftOut(StrEnum):
    """Why a pair of mentions is not scored, as the counts of a run call it; the last two only the model can tell."""

    OVERLAPPING = "overlapping"
    SAME_NAME = "same_name"
    CROWDED = "crowded"
    UNFITTING = "unfitting"
    LONG = "long"
    TOKENLESS = "tokenless"


@dataclass(frozen=True, slots=True)
class Pairing:
    """The mentions of a sentence in text order, and its ordered pairs (head, tail) by head, then tail.

    ``duplicates`` counts mentions left out because their very span had been seen; ``overlapping``,
    ``same_name``, ``crowded`` and ``unfitting`` count pairs left out because the two mentions share characters,
    because they read the same, because the sentence holds too many mentions, and because no relation allows
    their types. ``reasons`` has those pairs, but for the crowded ones: they may be too many to be held.
    """

    mentions: tuple[Mention, ...]
    pairs: tuple[tuple[int, int], ...]
    duplicates: int = 0
    overlapping: int = 0
    same_name: int = 0
    crowded: int = 0
    unfitting: int = 0
    reach: int = 0
    reasons: Mapping[tuple[int, int], LeftOut] = field(default_factory=dict, repr=False)

    def left_out(self, head: int, tail: int) -> LeftOut | None:
        """Return why two different mentions are not paired, or ``None`` if they are."""
        return LeftOut.CROWDED if abs(head - tail) > self.reach else self.reasons.get((head, tail))


def pair_mentions(text: str, mentions: Iterable[Mention], max_mentions: int, admits: Admits) -> Pairing:
    """Pair the mentions of the sentence ``text``, both ways round.

    Of mentions with the same span the first given stays. Two mentions that read the same, whatever their case
    and spacing, are taken for one entity, which stands in no relation to itself. A sentence with more than
    ``max_mentions`` mentions gets about as many pairs as ``max_mentions`` mentions have: each is paired with its
    nearest neighbours in the text, since names far apart in a long list hardly ever stand in a relation.
    """
    given = list(mentions)
    by_span: dict[tuple[int, int], Mention] = {}
    for mention in given:
        by_span.setdefault((mention.start, mention.end), mention)
    ordered = tuple(by_span[span] for span in sorted(by_span))
    count = len(ordered)
    names = [folded(text[mention.start : mention.end]) for mention in ordered]
    reach = neighbour_reach(count, max_mentions)
    pairs: list[tuple[int, int]] = []
    reasons: dict[tuple[int, int], LeftOut] = {}
    for head, head_mention in enumerate(ordered):
        for tail in range(max(0, head - reach), min(count, head + reach + 1)):
            if tail == head:
                continue
            if head_mention.overlaps(ordered[tail]):
                reasons[head, tail] = LeftOut.OVERLAPPING
            elif names[head] == names[tail]:
                reasons[head, tail] = LeftOut.SAME_NAME
            elif not admits(head_mention.type, ordered[tail].type):
                reasons[head, tail] = LeftOut.UNFITTING
            else:
                pairs.append((head, tail))
    found = Counter(reasons.values())
    return Pairing(
        mentions=ordered,
        pairs=tuple(pairs),
        duplicates=len(given) - count,
        overlapping=found[LeftOut.OVERLAPPING],
        same_name=found[LeftOut.SAME_NAME],
        crowded=count * (count - 1) - len(pairs) - len(reasons),
        unfitting=found[LeftOut.UNFITTING],
        reach=reach,
        reasons=reasons,
    )


def folded(name: str) -> str:
    """Return a name as it is compared with others: whatever its case and spacing."""
    return " ".join(name.casefold().split())


def neighbour_reach(count: int, max_mentions: int) -> int:
    """Return how many mentions away, in text order, a partner may lie.

    It is the furthest reach at which ``count`` mentions have no more ordered pairs than ``max_mentions``
    have without any limit, and at least 1.
    """
    if count <= max_mentions:
        return max(count - 1, 0)
    budget = max_mentions * (max_mentions - 1)
    reach = 1
    # With reach k there are k(2n − k − 1) ordered pairs.
    while (reach + 1) * (2 * count - reach - 2) <= budget:
        reach += 1
    return reach
