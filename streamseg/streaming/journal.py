"""What a run says of itself in the log: sources that come, go, fall silent and return.

Tested in tests/streaming/test_journal.py.
"""

from __future__ import annotations

import logging
from typing import Any

from streamseg.addresses import printable, shown
from streamseg.source_state import StateName
from streamseg.streaming.job import Job

__all__ = ["Journal"]

_log = logging.getLogger(__name__)


class Journal:
    """Logs what has changed since it last looked; the fields are for structured logs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._states: dict[str, tuple[StateName, str | None]] = {}
        self._is_ready = False

    def refresh(self) -> None:
        """To be called a few times a second."""
        if not self._is_ready and self._job.runtime != "loading":
            self._is_ready = True
            fields = {"engine": self._job.info.model, "runtime": self._job.runtime}
            _log.info("engine %s runs on %s", *fields.values(), extra={"fields": fields})
        streams = self._job.streams
        for source_id in [known for known in self._states if known not in streams]:
            del self._states[source_id]
            _log.info("%s: removed", source_id, extra={"fields": {"source": source_id, "state": "removed"}})
        for source_id, stream in streams.items():
            self._look(source_id, stream.spec)

    def _look(self, source_id: str, spec: str) -> None:
        try:
            state = self._job.state_of(source_id)
        except KeyError:  # it is leaving just now
            return
        if self._states.get(source_id) == (state.state, state.reason):
            return
        self._states[source_id] = state.state, state.reason
        fields: dict[str, Any] = {
            "source": source_id,
            "spec": shown(spec),
            "state": state.state,
            "reason": state.reason,
            "detail": printable(state.detail),
            "reconnects": state.reconnects,
        }
        why = f" ({fields['detail']})" if fields["detail"] else ""
        _log.info("%s: %s%s", source_id, state.state, why, extra={"fields": fields})
