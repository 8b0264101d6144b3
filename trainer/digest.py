"""What tells the data and texts that a run reads from others, so that nobody goes on with other ones unawares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache

from torch import nn

from zsre.relations.examples import LabelledSentence
from zsre.relations.relation import Relation


def reading_digest(
    sources: Iterable[Iterable[LabelledSentence]],
    texts: Mapping[str, Sequence[Relation]],
    relations: Collection[str],
    validation: Sequence[str],
) -> str:
    """Return the digest of sentences with their mentions and pairs, of relation texts, and of ``validation``.

    Texts are those of ``relations`` and ``validation``. It is the same for a run and for the models of its folds, and
    where files lie and what data sets are called is not in it.
    """
    told = hashlib.sha256()

    def tell(value: object) -> None:
        told.update(json.dumps(value, ensure_ascii=True).encode())

    @cache
    def in_order(ids: frozenset[str] | None) -> list[str] | None:
        return None if ids is None else sorted(ids)

    for labelled in sources:
        for sentence in labelled:
            mentions = [(mention.start, mention.end) for mention in sentence.mentions]
            pairs = [
                (pair.head, pair.tail, in_order(pair.relations), in_order(pair.looked_for)) for pair in sentence.pairs
            ]
            tell((sentence.text, mentions, pairs))
        tell("end of a source")
    for relation in sorted({*relations, *validation}):
        tell((relation, [asdict(text) for text in texts.get(relation, ())]))
    tell(list(validation))
    return told.hexdigest()[:32]


def weights_digest(module: nn.Module) -> str:
    """Return what tells a module's weights from others, wherever they lie and whatever they are called."""
    told = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        told.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        told.update(value.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()[:32]
