"""What fields of the configuration may hold; the dataclasses that use these are checked by pydantic on reading."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

#: For ``__pydantic_config__``: a field that a dataclass does not have is an error, not ignored.
STRICT: Final = ConfigDict(extra="forbid")

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
