"""What a person's answers about drawn triples came to, and the command that uses them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from zsre.relations.catalogue import is_catalogue
from zsre.relations.errors import ZsreError
from zsre.relations.metrics import wilson_interval
from zsre.runner.calibrate import LEAST_LABELS
from zsre.runner.counts import counted
from zsre.runner.flags import MAX_RELATIONS
from zsre.runner.judge import Draw
from zsre.runner.pipeline import is_default

#: Where the calibrated relations go; the second, where they come from the first.
_CALIBRATED: Final = ("calibrated.yaml", "recalibrated.yaml")


def summary(draw: Draw, facts: Mapping[str, Any], relations: str | None = None) -> Iterator[str]:
    """Yield the lines that say what the answers came to, and the command that uses them.

    ``facts`` are what the run's ``run.json`` says, ``relations`` is the file that ``--relations`` named.
    """
    judged, size = draw.judged, len(draw.drawn.triples)
    verdicts = draw.verdicts
    yield f"judged {len(verdicts):,} of the {counted(size, 'triple')} drawn{_share(draw, verdicts)}"
    if repeated := size - len(draw):
        yield f"  {repeated:,} of these {'reads' if repeated == 1 else 'read'} as another does: asked about once"
    if left := len(draw.open()):
        yield f"  {left:,} left: the same command asks about {'it' if left == 1 else 'them'}"
    every = list(judged.verdicts.values())
    if len(every) > len(verdicts):
        yield f"  {judged.path} holds {counted(len(every), 'labelled text')} in all"
    if min(sum(every), len(every) - sum(every)) >= LEAST_LABELS:
        yield from _next_command(judged.path, facts, relations)
    elif every:
        yield f"  to calibrate takes {LEAST_LABELS} right and {LEAST_LABELS} wrong at the very least"


def _share(draw: Draw, verdicts: list[bool]) -> str:
    """Return how many are right, and what that says of all that were drawn from: nothing, while some are left."""
    if not verdicts:
        return ""
    right, size, total = sum(verdicts), len(draw.drawn.triples), draw.drawn.total
    told = f": {right:,} right"
    if len(verdicts) < size:
        return f"{told}; no estimate: only those judged"
    share = _percent(right / size)
    if size == total:
        return f"{told}, exactly {share} %: there are no others"
    low, high = map(_percent, wilson_interval(right, size))
    return f"{told}; an estimate for all {total:,}: {share} % (95 % interval: {low} to {high} %)"


def _next_command(path: Path, facts: Mapping[str, Any], relations: str | None) -> Iterator[str]:
    source = relations or facts.get("relations_source")
    if not isinstance(source, str):
        source = "relations.yaml"
    before = []
    if is_catalogue(source):
        before.append("with the relations of the catalogue in a file, as zsre-relations prints them")
        source = "relations.yaml"
    if (model := _other_model(facts)) is not None:
        before.append(f"with the run's model ({model}) named after zsre-eval, as it isn't the one that ships")
    yield f"{', '.join(['next', *before])}:"
    words = ["zsre-eval", "--calibrate", str(path), "--relations", source, "-o", _output(source), *_run_flags(facts)]
    yield f"  {shlex.join(words)}"


def _output(source: str) -> str:
    """Return where the calibrated relations go: never over those that were given."""
    first, second = _CALIBRATED
    return second if Path(source).resolve() == Path(first).resolve() else first


def _run_flags(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the flags without which other pairs would be candidates than in the run."""
    most, pipeline = facts.get("max_relations"), facts.get("pipeline")
    if isinstance(pipeline, str) and pipeline and not is_default(pipeline):
        yield from ("--spacy-model", pipeline.partition(" ")[0])
    if type(most) is int and most != MAX_RELATIONS:
        yield from ("--max-relations", str(most))


def _other_model(facts: Mapping[str, Any]) -> str | None:
    """Return the name of the run's model where it is known to be another than the one that ships."""
    model = facts.get("model")
    if not isinstance(model, Mapping) or not all(isinstance(model.get(key), str) for key in ("name", "fingerprint")):
        return None
    from zsre.runner.engine import load_relation_engine

    try:
        shipped = load_relation_engine(None, "cpu", 1).contract
    except ZsreError:
        return None
    return None if model["fingerprint"] == shipped.fingerprint else str(model["name"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
