"""Traces as a collector gets them: a real HTTP server that reads OTLP."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.sinks.trace_sink import TraceSink
from streamseg.structures import Frame, Instances, Result, Stamps, Tracks

service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra `traces`"
)
MS = 1_000_000


@pytest.fixture
def collector():
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, self.headers.get("content-encoding"), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def result(index, source_id="gate"):
    now = time.monotonic_ns()
    frame = Frame(np.zeros((8, 8, 3), np.uint8), index, index / 30, now - 50 * MS, source_id)
    empty = Instances.empty((8, 8))
    stamps = Stamps(segment=now - 30 * MS, track=now - 28 * MS, overlay=now - 20 * MS)
    return Result(frame, empty, Tracks.untracked(empty), (), stamps=stamps)


def test_every_so_many_frames_of_each_source_have_a_span_for_each_stage(collector):
    address, got = collector
    sink = TraceSink(address, 0.25)
    for index in range(8):
        sink.write(result(index))
    sink.write(result(0, "yard"))
    sink.close()
    spans = []
    for path, encoding, body in got:
        assert (path, encoding) == ("/v1/traces", None)
        request = service.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert named["service.name"] == "streamseg"
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    whole = [span for span in spans if span.name == "frame"]
    where = [
        (values["streamseg.source"].string_value, values["streamseg.frame"].int_value)
        for values in ({one.key: one.value for one in span.attributes} for span in whole)
    ]
    assert where == [("gate", 0), ("gate", 4), ("yard", 0)]
    assert sink.counters() == {"traces": 3}
    parts = [span for span in spans if span.parent_span_id == whole[0].span_id]
    assert [part.name for part in parts] == ["segment", "track", "overlay", "sink"]
    took = [round((part.end_time_unix_nano - part.start_time_unix_nano) / MS) for part in parts]
    assert took[:3] == [20, 2, 8]
    assert parts[0].start_time_unix_nano == whole[0].start_time_unix_nano
    assert parts[-1].end_time_unix_nano == whole[0].end_time_unix_nano
    assert abs(whole[0].end_time_unix_nano - time.time_ns()) < 60 * 10**9


def test_a_collector_that_is_away_costs_traces_only(free_port):
    sink = TraceSink(f"http://127.0.0.1:{free_port}", 1.0)
    sink.write(result(0))
    sink.close()
    assert sink.frames == 1


def test_what_is_no_address_is_named():
    with pytest.raises(ConfigError, match=r"output.traces: expected http://HOST:4318, got 'collector'"):
        TraceSink("collector", 1.0)
