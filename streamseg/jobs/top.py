"""What `streamseg top` does: ask a run that is served how it does. Tested in tests/serving/test_top.py."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamseg.errors import ConfigError, SourceError

__all__ = ["read_status", "token_of"]

_SECONDS = 5


def token_of(path: str | None) -> str | None:
    """The one line of a token's file. Raises ConfigError."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: cannot be read: {error}") from error


def read_status(address: str, token: str | None) -> dict[str, Any]:
    """`/api/status` of the run at `address`, `http://HOST:PORT`. Raises ConfigError and SourceError."""
    address = address if "://" in address else f"http://{address}"
    if urlsplit(address).scheme not in ("http", "https"):
        raise ConfigError(f"{address}: expected http://HOST:PORT of a live page")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(f"{address.rstrip('/')}/api/status", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:
            status = json.load(answer)
        if not isinstance(status, dict) or "sources" not in status:
            raise ValueError("something else answers there")
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise ConfigError(f"{address}: wants its token: --token-file FILE") from error
        raise SourceError(f"{address}: no run of streamseg answers there (HTTP {error.code})") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{address}: no run of streamseg answers there ({reason})") from error
    return status
