"""What ``zsre-extract`` does with kept vectors."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from zsre.relations.catalogue import load_relations
from zsre.relations.errors import UsageError
from zsre.relations.relation import SPACY_TYPES, understood_types
from zsre.runner.corpus import CutSettings
from zsre.runner.ending import finish
from zsre.runner.engine import load_relation_engine
from zsre.runner.flags import MAX_MENTIONS
from zsre.runner.kept import is_kept, read_marker
from zsre.runner.kept_job import KeptJob, check_usable, kept_place, kept_results, kept_segment
from zsre.runner.kept_tables import PRECISIONS
from zsre.runner.pipeline import is_default
from zsre.runner.plan import check_common, open_output, wanted
from zsre.runner.recording import recorded
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.session import processors

_RECORDS, _CUT = RecordSettings(), CutSettings()
#: Flags that are for reading a corpus, and their values when they aren't given.
_READING: Final[Mapping[str, object]] = {
    "save_pairs": None,
    "save_precision": PRECISIONS[0],
    "save_fitting": False,
    "spacy_model": None,
    "processes": 1,
    "text_field": _RECORDS.text_field,
    "id_field": None,
    "keep": "",
    "max_mentions": MAX_MENTIONS,
    "max_line_bytes": _CUT.max_line_bytes,
    "max_text_chars": _RECORDS.max_text_chars,
    "on_error": "skip",
    "shard_lines": _CUT.shard_lines,
    "limit": None,
    "append": False,
    "dry_run": False,
    "engine": "local",
}
#: Where it stands what is wrong with records that have no vectors.
_REJECTS_IN: Final = "the rejects.jsonl of the run that saved the vectors"


def run_kept(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    check_common(args)
    path = next(Path(given) for given in args.corpus if is_kept(Path(given)))
    if len(args.corpus) > 1:
        raise UsageError(f"{path}: holds vectors, and those cannot be read together with other inputs")
    for flag, default in _READING.items():
        if getattr(args, flag) != default:
            raise UsageError(f"--{flag.replace('_', '-')}: is for reading a corpus, and {path} holds vectors")
    output = open_output(args)
    kept = read_marker(path)
    # As for a text: what the default pipeline finds is known, and what others find is not.
    relations = load_relations(args.relations, understood_types(SPACY_TYPES) if is_default(kept.pipeline) else None)
    scorer = load_relation_engine(args.model, args.device, args.threads)
    check_usable(path, kept, scorer, relations)
    rules = make_rules(relations, scorer.contract, args.threshold, args.max_relations)
    job = KeptJob(kept, scorer, relations, rules)
    started = time.monotonic()
    about = {"corpus": f"{path} ({kept.corpus})", "relations_source": relations.source, "device": scorer.device}
    facts = {**about, **job.facts}
    with recorded(output, [kept_segment(path, kept)], wanted(args), facts) as run:
        indices = (index for index in range(kept.shards or 0) if index not in run.done)
        with closing(kept_results(path, job, indices, args.threads or processors())) as results:
            for result in results:
                run.commit(result, kept_place(result.index, result.counts))
    finish(args, relations, job.keep, run, facts, time.monotonic() - started, rejects_in=_REJECTS_IN)
