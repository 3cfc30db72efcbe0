"""What is logged of sources, once for each change."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from streamseg.source_state import SourceState
from streamseg.streaming.journal import Journal


def test_every_change_is_logged_once_with_its_fields_and_no_secret(caplog):
    caplog.set_level(logging.INFO, "streamseg")
    states = {"gate": SourceState("connecting")}
    spec = "rtsp://admin:secret@gate/1"
    run = SimpleNamespace(
        runtime="loading",
        info=SimpleNamespace(model="squares"),
        streams={"gate": SimpleNamespace(spec=spec)},
        state_of=states.__getitem__,
    )
    journal = Journal(run)
    journal.refresh()
    run.runtime = "openvino"
    states["gate"] = SourceState("reconnecting", "connection", "nothing is serving at this port")
    for _ in range(3):
        journal.refresh()
    run.streams = {}
    journal.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        "gate: connecting",
        "engine squares runs on openvino",
        "gate: reconnecting (nothing is serving at this port)",
        "gate: removed",
    ]
    fields = caplog.records[2].fields
    assert (fields["source"], fields["state"], fields["reason"]) == ("gate", "reconnecting", "connection")
    assert fields["spec"] == "rtsp://admin:***@gate/1"
