"""Events become orders of clips."""

from dataclasses import replace

from streamseg.sinks.clip_sink import ClipSink
from streamseg.structures import Event


def event(phase, at_seconds=1.0, number=0):
    return Event(
        f"{number:016x}", "zone", "door", phase, "cam", 7, 1.5, at_seconds, 3, "person", {"inside": 1}
    )


def test_what_begins_or_happens_gets_a_clip_at_its_moment(make_result):
    orders = []
    sink = ClipSink(lambda *order: orders.append(order) or True)
    result = make_result(7, 1.5)
    told = [
        event("started", 1.0, 1),
        event("updated", 1.2, 1),
        event("ended", 1.4, 1),
        event("happened", 1.5, 2),
    ]
    sink.write(replace(result, events=tuple(told)))
    sink.close()
    captured_ns = result.frame.captured_ns
    assert orders == [
        ("cam", "0000000000000001", captured_ns - 500_000_000),
        ("cam", "0000000000000002", captured_ns),
    ]
