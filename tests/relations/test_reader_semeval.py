from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_semeval import SEMEVAL_RELATIONS
from zsre.relations.readers import read_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
Stated: TypeAlias = Callable[[LabelledSentence], set[tuple[str, str, str]]]
PairBetween: TypeAlias = Callable[[LabelledSentence, str, str], LabelledPair]
SEMEVAL = (
    '1\t"A <e1>leaf</e1> of the <e2>tree</e2>."\r\nComponent-Whole(e1,e2)\r\nComment: plain\r\n\r\n'
    '2\t"The <e1>burn</e1> from the <e2>fire</e2>."\r\nCause-Effect(e2,e1)\r\n\r\n'
    '3\t"A <e1>cat</e1> on a <e2>mat</e2>."\r\nOther\r\nComment:\r\n'
)


def test_semeval_labels_both_orders(save: Save, stated: Stated, pair_between: PairBetween) -> None:
    leaf, burn, cat = read_labelled(save(SEMEVAL))
    assert leaf.text == "A leaf of the tree."
    assert pair_between(leaf, "leaf", "tree").relations == {"Component-Whole"}
    reverse = pair_between(leaf, "tree", "leaf")
    assert (reverse.relations, reverse.looked_for) == (frozenset(), {"Component-Whole"})
    assert stated(burn) == {("fire", "Cause-Effect", "burn")}
    assert [(pair.relations, pair.looked_for) for pair in cat.pairs] == [(frozenset(), SEMEVAL_RELATIONS)] * 2
    assert (cat.id, cat.source) == ("3", "semeval")


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (
            '1\t"A leaf of a tree."\nOther\n',
            "FILE, line 1: '1\\t\"A leaf of a tree.\"' is no sentence; it should read 12<TAB>",
        ),
        (
            '\n1\t"<e1>A</e1> <e2>b</e2>"\nPart-Of(e1,e2)\n',
            'FILE, line 2: "Part-Of(e1,e2)" after this sentence is no label',
        ),
        ('1\t"<e1>A</e1> <e2>b</e2>"\n', 'FILE, line 1: "" after this sentence is no label; give Other or a relation'),
    ],
)
def test_broken_semeval(save: Save, failure: Failure, content: str, seen: str) -> None:
    assert failure(save(content), "semeval").startswith(seen)
