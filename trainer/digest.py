"""What tells the data and texts that a run reads from others, so that nobody goes on with other ones unawares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache

from torch import nn

from zsre.relations.examples import LabelledSentence, Mention
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
    told = _Told()
    told.sentences(sources, lambda mention: (mention.start, mention.end))
    told.texts(texts, {*relations, *validation})
    told.value(list(validation))
    return told.digest()


def calibration_digest(
    sources: Iterable[Iterable[LabelledSentence]], texts: Mapping[str, Sequence[Relation]], relations: Collection[str]
) -> str:
    """Return the digest of what a run of these relations is calibrated on; types are in it, as they must fit."""
    told = _Told()
    told.sentences(sources, lambda mention: (mention.start, mention.end, mention.type))
    told.texts(texts, relations)
    return told.digest()


class _Told:
    """What was told to a digest so far."""

    def __init__(self) -> None:
        self._told = hashlib.sha256()

    def value(self, value: object) -> None:
        self._told.update(json.dumps(value, ensure_ascii=True).encode())

    def sentences(
        self, sources: Iterable[Iterable[LabelledSentence]], of_mention: Callable[[Mention], Sequence[object]]
    ) -> None:
        @cache
        def in_order(ids: frozenset[str] | None) -> list[str] | None:
            return None if ids is None else sorted(ids)

        for labelled in sources:
            for sentence in labelled:
                pairs = [
                    (pair.head, pair.tail, in_order(pair.relations), in_order(pair.looked_for))
                    for pair in sentence.pairs
                ]
                self.value((sentence.text, [of_mention(mention) for mention in sentence.mentions], pairs))
            self.value("end of a source")

    def texts(self, texts: Mapping[str, Sequence[Relation]], relations: Collection[str]) -> None:
        for relation in sorted(relations):
            self.value((relation, [asdict(text) for text in texts.get(relation, ())]))

    def digest(self) -> str:
        return self._told.hexdigest()[:32]


def weights_digest(module: nn.Module) -> str:
    """Return what tells a module's weights from others, wherever they lie and whatever they are called."""
    told = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        told.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        told.update(value.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()[:32]
