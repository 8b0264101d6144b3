"""Names of files: paths of this machine, and URIs of stores, how people read them, and what of them is secret."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from zsre.relations.errors import UsageError

#: A scheme of one letter would be a drive of Windows.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: What a name begins with that stands for a path of this machine.
FILE_SCHEME: Final = "file://"
#: Stores whose names stand in a URI as they are, as fsspec looks for no escapes there.
UNESCAPED: Final = ("fsspec+", "hf://")
#: What needs no escape in the path of a URI, besides letters and digits (RFC 3986, ``pchar``).
_UNRESERVED: Final = "/-._~!$&'()*+,;=:@"
#: Who somebody is in a store, and a password: up to the ``@`` of the authority, or beyond a slash that should have been
#: escaped.
_USER: Final = re.compile(r"(?<=://)([^/?#]*|[^/?#@:\[]*:(?!\d*([/?#]|$))[^?#]*?)@")
#: Stores in whose names a container stands where others have a user.
_CONTAINERS: Final = ("abfs://", "abfss://")
_SECRET_OPTION: Final = re.compile(
    r"(?i)(?<![^&])([^&=]*(?:secret|password|token|key|signature|credential)[^&=]*|sig)=[^&]*"
)
_HIDDEN: Final = r"\1=***"
#: Stores in whose names options stand after a ``?``, though nothing is escaped.
_WEB: Final = ("fsspec+http://", "fsspec+https://")
#: The address of a page in a text, and its options.
_PAGE: Final = re.compile(r"(https?://[^\s?]*\?)(\S+)")


def is_uri(name: str) -> bool:
    """Tell whether a name is that of a store rather than a path of this machine."""
    return _URI.match(name) is not None


def is_relative(name: str) -> bool:
    """Tell whether what a name stands for depends on the current directory."""
    return not is_uri(name) and not Path(name).is_absolute()


def without_scheme(name: str) -> str:
    """Return the path that a name such as ``file:///data`` stands for, and any other name as it is.

    So it is a place of this machine in all respects: with locks, and files that appear only when they are complete.
    Raises UsageError for one of another machine.
    """
    if not name.startswith(FILE_SCHEME):
        return name
    path = unquote(name.removeprefix(FILE_SCHEME).partition("?")[0])
    if not path.startswith("/"):
        raise UsageError(f"{name}: three slashes must stand before a path of this machine, as in {FILE_SCHEME}/data")
    # A drive of Windows stands after the third slash.
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def is_storable(name: str) -> bool:
    """Tell whether a name is UTF-8; on most systems a file's may be any bytes, which Python has its own letters for."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def uri_below(folder: str, name: str) -> str:
    """Return the URI of what lies below a store's folder, by the name that the store has for it."""
    address, mark, options = folder.partition("?")
    own = name if address.startswith(UNESCAPED) else quote(name, safe=_UNRESERVED)
    return f"{address.rstrip('/')}/{own}{mark}{options}"


def readable(name: str) -> str:
    """Return a name as a person reads it: that of a store without user, options and escapes, any other as it is."""
    if not is_uri(name):
        return name
    if name.startswith(UNESCAPED):
        return without_secrets(name)
    return unquote(masked(name.partition("?")[0]))


def without_secrets(name: str) -> str:
    """Return a name as it may be written down: that of a store without user, and without the secrets of its options.

    It tells one input from another, and may not open it.
    """
    if not is_uri(name):
        return name
    if name.startswith(UNESCAPED) and not name.startswith(_WEB):
        return masked(name)
    address, mark, options = name.partition("?")
    return f"{masked(address)}{mark}{_SECRET_OPTION.sub(_HIDDEN, options)}"


def masked(text: str) -> str:
    """Return a text without the users, passwords and signatures of the URIs in it."""

    def hidden(user: re.Match[str]) -> str:
        container = user[1].partition(":")[0] if text[: user.start()].endswith(_CONTAINERS) else ""
        return container and f"{container}@"

    shown = _USER.sub(hidden, text)
    return _PAGE.sub(lambda page: page[1] + _SECRET_OPTION.sub(_HIDDEN, page[2]), shown)
