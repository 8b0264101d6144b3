"""What a command says while it runs: lines for people, or one JSON object a line for those who collect logs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from zsre.relations.terminal import PlainFormatter, printable_lines

FORMATS: Final = ("plain", "json")
#: The attribute of a log record that holds figures beside its message.
_FIELDS: Final = "zsre_fields"


def configure_logging(program: str, quiet: bool, form: str) -> None:
    """Send what the library logs to standard error, in that form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter(f"{program}: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("zsre").setLevel(logging.WARNING if quiet else logging.INFO)


def with_fields(**fields: object) -> Mapping[str, object]:
    """Return what is given to a logger as ``extra`` so that figures stand beside the message."""
    return {_FIELDS: fields}


def tell_end(program: str, form: str, level: str, message: str, exit_code: int) -> None:
    """Say on standard error why a command ends; ``level`` is ``error`` or ``interrupted``."""
    if form == "json":
        text = json_line(level, message, {"exit_code": exit_code})
    else:
        text = f"{program}: {level}{': ' if level == 'error' else ' '}{message}"
        text = printable_lines(text)
    # Whoever listened may be gone; the exit code still says how it went.
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def json_line(level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return one JSON object, on a line, in ASCII: as escapes, control characters do nothing to a terminal."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": now, "level": level, "message": message, **fields}, default=str)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``message``, and the figures that go with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        fields = dict(getattr(record, _FIELDS, {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json_line(record.levelname.lower(), record.getMessage(), fields)
