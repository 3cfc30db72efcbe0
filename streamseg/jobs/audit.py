"""The account of a redaction: what its first line says, and `streamseg audit verify`.

Tested in tests/redaction/test_audit.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.addresses import printable, source_ids
from streamseg.engines.certified import certificate_of
from streamseg.engines.engine_file import EngineFile
from streamseg.errors import ConfigError
from streamseg.redaction.audit import AuditBroken, check_chain
from streamseg.streaming.config import RunConfig
from streamseg.version import __version__

__all__ = ["audit_head", "verify_audit"]


def audit_head(config: RunConfig, engine: EngineFile) -> dict[str, Any]:
    """Configuration, engine and certificate of a run, as its account begins. Raises EngineError."""
    certificate = certificate_of(engine)
    return {
        "streamseg": __version__,
        "redact": config.redact and config.redact.model_dump(mode="json"),
        "sources": source_ids(config.sources),
        "engine": {"name": engine.path.name, "model": engine.info.model, "sha256": engine.sha256},
        "certificate": certificate and {"verdict": certificate["verdict"], "sha256": _hash(certificate)},
    }


def verify_audit(path: str) -> str:
    """What a whole account says, in one line. Raises ConfigError that names the line at which it is not what
    was written."""
    name = printable(path)
    try:
        with Path(path).open("rb") as file:
            lines, head, last = check_chain(file)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror})") from error
    except AuditBroken as error:
        raise ConfigError(f"{name}: {error}") from error
    totals = last.get("totals")
    frames = sum(one.get("frames", 0) for one in totals.values()) if isinstance(totals, dict) else 0
    return f"{name}: whole, {lines} lines about {frames} frames, SHA-256 of the last {head}"


def _hash(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
