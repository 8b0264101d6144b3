"""The command ``zsre-explain``: a text in; of every pair of mentions, what was considered for it and what became of it.

Like ``zsre-extract``, it loads little until the arguments are known to be right.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from zsre.relations.command_line import CommandParser
from zsre.relations.errors import DataError, UsageError
from zsre.relations.interrupts import interrupts_deferred
from zsre.relations.terminal import printable
from zsre.runner.entry import run_command
from zsre.runner.flags import STANDARD_INPUT, add_flags, check_flags, check_least
from zsre.runner.lines import MAX_LINE_BYTES, RawLine
from zsre.runner.records import Reason, Record, RecordSettings, Reject, parse_line

if TYPE_CHECKING:
    from zsre.runner.explain import Explanation

PROGRAM: Final = "zsre-explain"
_GIVE_LESS: Final = "give a sentence or a short text"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/explain.md for what each code means."""
    return run_command(build_parser(), argv, run, "interrupted")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog=PROGRAM,
        description="Say of every pair of mentions in a text which relations came closest, and why each was or wasn't "
        "written.",
    )
    add = parser.add_argument
    add("text", metavar="TEXT", help="a sentence or short text; - for standard input")
    add_flags(parser, "--relations")
    add("--record", action="store_true", help="TEXT is one line of a corpus: JSON, with entities if it has them")
    add("--text-field", default=RecordSettings().text_field, metavar="NAME", help="field of a record with the text")
    add_flags(parser, "--model", "--device", "--threads", "--spacy-model")
    add_flags(parser, "--threshold", "--max-relations", "--max-mentions")
    add("--top", type=int, default=3, metavar="N", help="relations shown for a pair (default: %(default)s)")
    add("--head", metavar="NAME", help="only pairs whose head reads so, in any case")
    add("--tail", metavar="NAME", help="only pairs whose tail reads so, in any case")
    add("--json", action="store_true", help="print one JSON object for each pair")
    add("--version", action="version", version=f"zsre {importlib.metadata.version('zsre')}")
    return parser


def run(args: argparse.Namespace) -> None:
    """Explain as the arguments say; raise ZsreError for whatever a person can mend."""
    check_flags(args)
    check_least(args, top=1)
    for flag, name in (("--head", args.head), ("--tail", args.tail)):
        if name is not None and not name.strip():
            raise UsageError(f"{flag} '{name}': names nothing; give a mention as it reads in the text")
    settings = RecordSettings(text_field=args.text_field)
    record = read_record(args.text, args.record, settings)
    with interrupts_deferred():
        from zsre.runner.explain import explain
        from zsre.runner.job_spec import make_spec, open_job, wanted_relations
    relations = wanted_relations(args)
    with open_job(make_spec(args, relations, settings)) as job:
        explanation = explain(record, job, args.top)
    _report(args, explanation)


def read_record(given: str, is_record: bool, settings: RecordSettings) -> Record:
    """Return the document to explain: the text that was given, or that of a line of a corpus, ``-`` for standard input.

    Raises DataError for a text that ``zsre-extract`` would reject as well.
    """
    if given == STANDARD_INPUT:
        source, data = "standard input", _standard_input()
    else:
        source, data = "TEXT", given.encode("utf-8", "surrogatepass")
    if not is_record:
        data = json.dumps({settings.text_field: _plain_text(data, source)}).encode()
    match parse_line(RawLine(1, data, len(data)), source, settings):
        case Record() as record:
            return record
        case Reject(reason=Reason.TEXT_TOO_LONG):
            raise DataError(f"{source}: more than {settings.max_text_chars:,} characters; {_GIVE_LESS}")
        case Reject(reason=Reason.EMPTY_TEXT) | None:
            raise DataError(f"{source}: holds nothing but white space; {_GIVE_LESS}")
        case Reject() as reject:
            raise DataError(f"{source}: {reject.detail}")


def _standard_input() -> bytes:
    limit = MAX_LINE_BYTES
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise DataError(f"standard input: more than {limit:,} bytes; {_GIVE_LESS}")
    return data


def _plain_text(data: bytes, source: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1}, 0x{data[error.start]:02x},"
        raise DataError(f"{source}: {byte} is not UTF-8; convert it to UTF-8") from error
    # The line end that a shell adds is no part of the text.
    return text.removeprefix("\ufeff").rstrip("\r\n")


def _report(args: argparse.Namespace, explanation: Explanation) -> None:
    from rich.console import Console

    from zsre.relations.terminal import write_out, writing_out
    from zsre.runner.explain_report import pair_objects, show

    chosen = explanation.only(args.head, args.tail)
    if args.json:
        for found in pair_objects(chosen):
            write_out(json.dumps(found) + "\n")
    else:
        console = Console()
        with writing_out(), console.capture() as captured:
            show(console, chosen)
        write_out(captured.get())
    if not any(sentence.pairs for sentence in chosen.sentences):
        # Whoever listened may be gone, as in `tell_end`.
        with suppress(OSError):
            print(printable(f"{PROGRAM}: {_nothing(args, explanation)}"), file=sys.stderr, flush=True)


def _nothing(args: argparse.Namespace, explanation: Explanation) -> str:
    if any(sentence.pairs for sentence in explanation.sentences):
        wanted = [f"{end} '{name}'" for end, name in (("head", args.head), ("tail", args.tail)) if name is not None]
        return f"no pair has the {' and the '.join(wanted)}; --head and --tail take a mention as it reads in the text"
    return (
        "no sentence holds two mentions, so there is no pair to explain; another pipeline may find more "
        "(--spacy-model), or give the entities yourself (--record)"
    )


if __name__ == "__main__":
    sys.exit(main())
