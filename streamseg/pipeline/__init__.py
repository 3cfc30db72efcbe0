"""Threads, channels and failures of a stream of items; knows nothing of what the items are.

The contract; a deviation is a bug.

Threads. Every source, stage and sink has one of its own, in which its factory is called and in
which it is used and closed. Sources are opened when they have a reader and every stage and sink is ready.

Readers. An output may have any number of readers, each with a channel of its own, bounded, with its own
policy. A reader that drops holds up nobody, however slow. One that blocks holds up the part it reads from,
and so whoever waits for that part; readers that drop are served first.

One source of many. Behind a stage that serves many sources and was told `source_of`, a reader may want
one source only (`output.of("cam1")`). When its channel is full and it drops, only its own items are
dropped; when it blocks, only its own source waits: where this source enters, nothing more is taken from
it, and what was already under way goes into the full channel, beyond its capacity. The stages between
and all other sources go on.

Batches. A stage or sink takes up to `batch` of what is waiting, in turns, at most one of each channel
before any gives a second, also several of one. It never waits for more, unless it has a window: then until
the batch is full, every input that is not silent (2 s) has brought something, or the window is over, counted
from the first item and no longer than the busiest input takes for one. A channel's capacity bounds what one
source can bring to a batch.

Idle. When nothing waits (and the input has not ended), a stage that has `idle` is asked once to hand over
what it holds, before its thread sleeps.

Success. A source ends; its channels close; what is inside drains through stages (`drain` gives what
they still hold) to the sinks; each part closes after it has let go of its output. `wait` returns True.

End of one source. When every input that brings a source's items has brought the last, a part hands over
what it holds (`idle`, `finish`), forgets the source (`forget`), and tells the parts behind it. Readers of
this source alone end then, and close; the others go on.

Adding. Sources, stages and sinks may be added at any time before the pipeline ends, and inputs attached
(`attach`) to parts that run; a reader gets what is handed over from then on. A part whose inputs have
all ended ends, unless it stays open; so does a pipeline whose parts have all ended.

Removing. `remove` of a source: nothing more is captured, what was captured reaches the sinks. Of a stage or
sink: it is handed nothing more, and drains; a put that waits for it goes through at once. Parts that are
left without an input leave too, unless they stay open. Then channel, thread, object and numbers are
dropped: nothing is held, and the name is free. `drain=False` drops, counted, what would drain.

A source raises. Its channels close as at a normal end: everything captured reaches the sinks.
`on_error="stop"` (default) also stops the other sources, `"isolate"` lets everyone go on, `"abort"` aborts.
At the end `wait` raises.

A stage or sink raises. `on_error="abort"` (default): everything is aborted: channels drop what they hold,
counted; stages close without `drain`; every sink closes, also the one that raised. `"isolate"`: what waits
for it is dropped, counted as `error`; what it had handed over drains; sources whose items reach no sink any
more stop; everyone else goes on. `"stop"`: as isolate, and all sources stop. At the end `wait` raises.

A factory raises. As if the part had raised at its first item.

`close` raises. The others end as they would have; `wait` raises.

What `wait` raises is the very object that was raised first, with notes naming its part and later
failures; `failures` has the first and the latest, the snapshot counts all.

`StopPipeline`, raised by a part, is a wish and no failure: as if it had called `stop`, and its batch counts.

`stop`. Sources are interrupted and nothing more is captured; what was captured drains as at a normal
end, even when a source does not heed. With a deadline, an abort follows when it takes longer.

`abort`. As when a stage raises, without the error. `abort`, `stop` and `remove` never block and may be
repeated.

A caller that waits. When what it does meanwhile raises (`on_refresh`, the body of `with pipeline`), the
pipeline is aborted and every sink closed before that goes on. One that was never started calls no factory.

Stuck. Parts that have not ended `grace_s` after an abort, or after every sink has closed, are reported
by `wait` as StuckStage, by name. Their threads are daemons: the process can exit.

Accounts. captured + created = delivered + dropped by cause + in flight, at every moment, whatever has been
removed; after the end nothing is in flight, unless a part is stuck. See ledger.py.
"""

from streamseg.pipeline.channel import Channel, ChannelStats, Policy
from streamseg.pipeline.failures import Failure
from streamseg.pipeline.ledger import Ledger
from streamseg.pipeline.output import Output, OutputCounts, Tap
from streamseg.pipeline.parts import Finishes, Forgets, Idles, SinkPart, SourcePart, StagePart, StopPipeline
from streamseg.pipeline.pipeline import Pipeline, StuckStage
from streamseg.pipeline.reader import Reader
from streamseg.pipeline.signals import CaughtSignals, stop_on_signals
from streamseg.pipeline.supervision import State
from streamseg.pipeline.worker import OnError

__all__ = [
    "CaughtSignals",
    "Channel",
    "ChannelStats",
    "Failure",
    "Finishes",
    "Forgets",
    "Idles",
    "Ledger",
    "OnError",
    "Output",
    "OutputCounts",
    "Pipeline",
    "Policy",
    "Reader",
    "SinkPart",
    "SourcePart",
    "StagePart",
    "State",
    "StopPipeline",
    "StuckStage",
    "Tap",
    "stop_on_signals",
]
