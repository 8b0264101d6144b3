"""What a YAML file must not ask of its reader: foreign tags, aliases without end, nesting without end."""

from __future__ import annotations

from typing import Final, NoReturn

import yaml

from zsre.relations.errors import RelationsFileError
from zsre.relations.problems import shorten

#: Lists and mappings inside one another. A relations file needs five; libyaml, which composes recursively, overflows
#: the stack somewhere above ten thousand and takes the process with it.
MAX_DEPTH: Final = 20
#: Values that aliases may add to those that are written out.
MAX_ALIASED: Final = 100_000

TAG_PREFIX: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = {"!", *(TAG_PREFIX + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map"))}


class YamlGuard:
    """Watches the events of one YAML file, in their order, and refuses what must not be composed.

    Events come one after the other and build nothing, so a file is known to be harmless before any of it is
    built. The size of an anchor counts the values under it with the aliases among them expanded, so that the
    sizes of all aliases add up to exactly what expansion adds to the file. ``source`` is what errors call the file.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._open: list[tuple[str | None, int]] = []
        self._sizes: dict[str, int] = {}
        self._aliased = 0

    def check(self, event: yaml.Event) -> None:
        """Take the next event; raise ``RelationsFileError`` if the file must not be composed."""
        if isinstance(event, yaml.AliasEvent):
            self._grow(self._aliased_size(event))
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event)
            self._close(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_tag(event)
            self._open.append((event.anchor, 1))
            if len(self._open) > MAX_DEPTH:
                self._refuse(
                    event,
                    f"more than {MAX_DEPTH} lists and mappings inside one another: "
                    "close the brackets or mend the indentation",
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(*self._open.pop())

    def _close(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = size
        self._grow(size)

    def _grow(self, size: int) -> None:
        if self._open:
            anchor, held = self._open[-1]
            self._open[-1] = (anchor, held + size)

    def _aliased_size(self, event: yaml.AliasEvent) -> int:
        if any(event.anchor == anchor for anchor, _ in self._open):
            self._refuse(event, f"alias *{event.anchor} stands inside itself: write out what is meant")
        # An alias that no anchor precedes is left to the composer, which reports it.
        size = self._sizes.get(str(event.anchor), 0)
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            self._refuse(
                event,
                f"alias *{event.anchor}: aliases expand to more than {MAX_ALIASED:,} values: write out what is meant",
            )
        return size

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _PLAIN_TAGS:
            self._refuse(event, f"tag {shorten(event.tag)}: only plain values are read: remove the tag")

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        assert event.start_mark is not None, "events read from text have a place"
        raise RelationsFileError(f"{self._source}:{event.start_mark.line + 1}: {why}")
