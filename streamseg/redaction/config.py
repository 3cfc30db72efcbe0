"""What can be asked of redaction. Tested in tests/redaction/test_wiring.py."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streamseg.settings import Section

__all__ = ["FILE_DELAY_S", "LIVE_DELAY_S", "RedactConfig"]

LIVE_DELAY_S = 0.5
FILE_DELAY_S = 1.0
"""Of a file nobody waits for: twice as long to learn what an object did before it was found."""


class RedactConfig(Section):
    """Covering what must not be seen."""

    classes: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Names of classes that are covered."""
    reveal: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Ids of tracks that are left uncovered while it is certain that it is they; of a run of one source."""
    delay_s: Annotated[float, Field(gt=0, le=10)] | None = None
    """How much later a frame goes out, so that what is found meanwhile is covered from before it was found;
    0.5 s of a live source, 1 s of a file, when left out."""
    memory_mb: Annotated[int, Field(ge=16, le=65536)] = 1024
    """Most that the frames kept for `delay_s` may take, for each source."""
