"""The command ``zsre-relations``: what the catalogue holds, as a relations file to begin with."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Final

from zsre.relations.catalogue import CATALOGUE, catalogue_text, load_catalogue
from zsre.relations.command_line import CommandParser
from zsre.relations.errors import UsageError, ZsreError
from zsre.relations.relation import Relation
from zsre.relations.terminal import printable, write_out

PROGRAM: Final = "zsre-relations"
#: Where the description of a relation begins in the catalogue; a heading or another relation ends it.
_ENTRY: Final = re.compile(r"^  - id: (\S+)\n(?:    .*\n)+", re.MULTILINE)
_INVERSE: Final = re.compile(r"^    inverse: (\S+)\n", re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 2 if no relation has the words."""
    parser = CommandParser(
        prog=PROGRAM,
        description="Print the relations that ship, or those that have all of the words, as a relations file.",
        epilog=f"for all of them, or some as they are, zsre-extract needs no file: --relations {CATALOGUE}:P112,P26",
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="an id, or part of a name, a description or a term")
    parser.add_argument("--version", action="version", version=f"zsre {version('zsre')}")
    words = parser.parse_args(argv).words
    try:
        write_out("\n".join(["relations:", *entries(found(words))]))
    except ZsreError as error:
        print(printable(f"{PROGRAM}: error: {error}"), file=sys.stderr)
        return error.exit_code
    return 0


def found(words: Sequence[str]) -> list[Relation]:
    """Return the relations that have all of the words, in the catalogue's order; raise UsageError if none has."""
    chosen = [relation for relation in load_catalogue() if all(_has(relation, word.casefold()) for word in words)]
    if not chosen:
        raise UsageError(f"no relation that ships has {' and '.join(map(repr, words))}; try fewer or shorter words")
    return chosen


def entries(relations: Iterable[Relation]) -> Iterator[str]:
    """Yield each relation as it stands in the catalogue, without an inverse that isn't among them."""
    texts = {entry[1]: entry[0] for entry in _ENTRY.finditer(catalogue_text())}
    chosen = {relation.id for relation in relations}
    for name in (own for own in texts if own in chosen):
        yield _INVERSE.sub(lambda line: line[0] if line[1] in chosen else "", texts[name])


def _has(relation: Relation, word: str) -> bool:
    texts = (relation.name, relation.description, *relation.head.terms, *relation.tail.terms)
    return relation.id.casefold() == word or any(word in text.casefold() for text in texts)


if __name__ == "__main__":
    sys.exit(main())
