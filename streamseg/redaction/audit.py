"""An account that shows when it was changed: each line holds the SHA-256 of the line before it.

Tested in tests/redaction/test_audit.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["AUDIT_SCHEMA", "AuditBroken", "Chain", "check_chain"]

AUDIT_SCHEMA = 1
_START = "0" * 64
_LONGEST_LINE = 1 << 20


class AuditBroken(ValueError):
    """The line of an account at which it is not what was written."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


class Chain:
    """Makes the lines of an account."""

    def __init__(self) -> None:
        self.lines = 0
        self.head = _START
        """SHA-256 of the last line. Whoever noted it elsewhere knows of any change, also of one that made
        the whole chain anew."""

    def line(self, kind: str, values: Mapping[str, Any]) -> bytes:
        """The next line, with its newline."""
        self.lines += 1
        made = {"line": self.lines, "before": self.head, "kind": kind, **values}
        text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        self.head = hashlib.sha256(text).hexdigest()
        return text + b"\n"


def check_chain(lines: Iterable[bytes]) -> tuple[int, str, dict[str, Any]]:
    """Number of lines, SHA-256 of the last, and the last, of an account that is whole: lines with their
    newlines. Raises AuditBroken."""
    head, number = _START, 0
    last: dict[str, Any] = {}
    for number, raw in enumerate(lines, start=1):
        last = _read(raw, number)
        if last.get("line") != number:
            raise AuditBroken(number, f"says it is line {last.get('line')!r}; lines before it are missing")
        if last.get("before") != head:
            said = "it, or the line before it, was changed" if number > 1 else "it does not begin an account"
            raise AuditBroken(max(number - 1, 1), f"is not the one that line {number} goes on from: {said}")
        head = hashlib.sha256(raw.removesuffix(b"\n")).hexdigest()
    if not number:
        raise AuditBroken(1, "there is none: the file is empty")
    if last.get("kind") != "end":
        raise AuditBroken(number, "the account is cut off after it: its end is missing")
    return number, head, last


def _read(raw: bytes, number: int) -> dict[str, Any]:
    if not raw.endswith(b"\n") or len(raw) > _LONGEST_LINE:
        raise AuditBroken(number, "is cut off")
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        raise AuditBroken(number, "is not JSON") from None
    if not isinstance(read, dict):
        raise AuditBroken(number, "is not a line of an account")
    return read
