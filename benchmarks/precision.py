"""What a run's precisions are worth: speed, size, F1, and how much a similarity changes with its batch."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import GIVEN
from benchmarks.encoding import speed_facts, speeds
from benchmarks.page import PRECISION as NAME
from benchmarks.parties.zsre_given import mentions, paired
from benchmarks.plan import FP32
from benchmarks.protocol import read_records
from benchmarks.records import Line, rounded
from benchmarks.running import THREADS, Settings
from zsre.exporter.cli import PRECISIONS
from zsre.relations.errors import MissingExtraError, UsageError
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.splits import load_described, read_split
from zsre.relations.vectors import PairSentence
from zsre.runner.engine import Engine, load_engine
from zsre.runner.evaluate import Evaluation, Example, Passed, evaluate, sample_per_relation, single_relation_pairs
from zsre.runner.pair_types import TypeMask

if TYPE_CHECKING:
    from zsre.exporter.files import Exported

#: What F1 is measured on: relations that a published split chooses epochs by.
DATA, SPLIT, PER_RELATION, SEED = "fewrel/fewrel.json.gz", "fewrel/splits/15_ori.json", 300, 13
#: Sentences whose similarities are compared.
COMPARED: Final = 200
logger = logging.getLogger("benchmarks")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument("--run", type=Path, required=True, metavar="DIR", help="the run directory to export")
    command.add_argument("--precisions", metavar="A,B", help=f"some of {','.join(PRECISIONS)}, beside fp32")


def measure(arguments: argparse.Namespace, settings: Settings, more: Mapping[str, Any]) -> list[Line]:
    """Export the run in each precision, measure all of them, and return their lines."""
    files = export_all(arguments.run, chosen_precisions(arguments.precisions), settings.data / NAME)
    ways = {precision: {"model": str(made.model)} for precision, made in files.items()}
    figures = speeds(NAME, "decide", ways, settings, arguments.rounds)
    labelled, asked = labelled_pairs(settings)
    given = compared_sentences(settings)
    relations = load_described("wikidata")
    lines: list[Line] = []
    date = datetime.now(UTC).isoformat(timespec="seconds")
    exact: NDArray[np.float64] | None = None
    for precision, made in files.items():
        logger.info("%s: %s: F1, and batches", NAME, precision)
        engine = load_engine(made.model, "cpu", THREADS)
        together = similarities(engine, [given], relations)
        exact = together if exact is None else exact
        lines.append(
            {
                "row": NAME,
                "variant": precision,
                "date": date,
                **more,
                **speed_facts(figures[precision], figures[FP32]),
                **f1_facts(evaluate(engine, labelled, asked, Passed())),
                "model": engine.contract.name,
                "bytes": list(made.bytes),
                "parity": rounded(made.parity.largest),
                "batch_change": largest(together, similarities(engine, ([own] for own in given), relations)),
                "from_fp32": largest(together, exact),
                "from_fp32_mean": rounded(float(np.abs(together - exact).mean())),
            }
        )
    return lines


def chosen_precisions(text: str | None) -> list[str]:
    """Return fp32, which all are compared with, and those of a list with commas, or all; raise UsageError."""
    names = list(PRECISIONS) if text is None else text.split(",")
    for name in names:
        if name not in PRECISIONS:
            raise UsageError(f"--precisions {text}: there is no {name!r}; give some of {','.join(PRECISIONS)}")
    return list(dict.fromkeys([FP32, *names]))


def export_all(run: Path, precisions: Sequence[str], folder: Path) -> dict[str, Exported]:
    """Export a run in each precision, into a folder of its own; return what came of it, by precision."""
    try:
        from zsre.exporter.export import export_run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"exporting needs {error.name}: pip install 'zsre[train]'") from error
    files = {}
    for precision in precisions:
        logger.info("%s: exporting %s as %s", NAME, run, precision)
        output = (folder / precision / "model.onnx").resolve()
        files[precision] = export_run(run, output, precision)  # type: ignore[arg-type]
    return files


def labelled_pairs(settings: Settings) -> tuple[list[Example], RelationSet]:
    """Return pairs of the split's ``eval`` relations, and these relations."""
    data = Path(os.environ.get("ZSRE_DATA", "data"))
    known = load_described("wikidata")
    relations = RelationSet(tuple(known[own] for own in read_split(data / SPLIT).eval if own in known))
    passed = Passed()
    examples = single_relation_pairs(read_labelled(data / DATA), relations, passed)
    return sample_per_relation(examples, settings.fewer(PER_RELATION), SEED, passed), relations


def f1_facts(found: Evaluation) -> dict[str, Any]:
    """Return F1 in per cent, what it was measured on, and how many of the relations the model had seen."""
    return {
        "f1": round(100 * found.report.paper_f1, 2),
        "f1_pairs": found.pairs,
        "f1_data": f"{DATA}, the eval relations of {SPLIT}",
        "f1_relations": len(found.relations),
        "f1_seen": len(found.overlap.same),
    }


def compared_sentences(settings: Settings) -> list[PairSentence]:
    """Return sentences of the corpus, with the pairs of all their entities."""
    records = read_records({"corpus": str(settings.data / GIVEN), "items": settings.fewer(COMPARED)})
    given = ((record["text"], mentions(record)) for record in records)
    return list(islice(paired(given, TypeMask(load_described("wikidata"))), COMPARED))


def similarities(
    engine: Engine, batches: Iterable[Sequence[PairSentence]], relations: RelationSet
) -> NDArray[np.float64]:
    """Return (P, R) for all pairs of the batches, each of which is encoded by itself.

    As `zsre.runner.decide` compares them: in double precision, whose last bits are rounded away, since a product in
    single precision depends on its batch whatever the vectors do.
    """
    vectors = engine.relation_vectors(relations).astype(np.float64)
    return np.concatenate([engine.encode(batch).similarities(vectors).sum(axis=2) for batch in batches]).round(9)


def largest(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest difference of two arrays."""
    return rounded(float(np.abs(one - other).max()))
