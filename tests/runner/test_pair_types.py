from __future__ import annotations

from zsre.relations.relation import Argument, Relation, RelationSet
from zsre.runner.pair_types import TypeMask


def test_a_type_that_no_relation_names_fits_only_where_any_does() -> None:
    typed = Relation("typed", "typed", "typed", head=Argument(("PERSON",)), tail=Argument(("GPE",)))
    relations = RelationSet((Relation("any", "any", "any"), typed))
    mask = TypeMask(relations)
    assert mask.row("PERSON", "GPE").tolist() == [True, True]
    assert mask.row("GPE", "PERSON").tolist() == [True, False]
    assert mask.row("MADE_UP", "GPE").tolist() == [True, False]
    assert mask.row(None, "GPE").tolist() == [True, True], "an entity without a type may stand anywhere"
    assert mask.row("OTHER", "GPE") is mask.row("MADE_UP", "GPE"), "unknown labels share a row"
    assert not TypeMask(RelationSet(relations.relations[1:])).admits("MADE_UP", "GPE")
    assert mask.unseen({"GPE"}) == ["PERSON"]
    assert mask.named(["GPE", None, "MADE_UP"]) == {"GPE"}
