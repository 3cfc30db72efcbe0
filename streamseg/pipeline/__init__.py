"""Threads, channels and failures of a stream of items; knows nothing of what the items are.

The contract; a deviation is a bug.

Threads. Every source, stage and sink has one of its own, in which its factory is called and in
which it is used and closed. Sources are opened when every stage and sink is ready.

Success. A source ends; its channel closes; what is inside drains through stages (`drain` gives what
they still hold) to the sinks; each part closes after it has let go of its output. `wait` returns True.

A source raises. Its channel closes as at a normal end: everything captured reaches the sinks.
`on_error="stop"` also stops the other sources, `"isolate"` lets them go on. At the end `wait` raises.

A stage or sink raises. Everything is aborted: channels drop what they hold, counted; stages close
without `drain`; every sink closes, also the one that raised. `wait` raises.

A factory raises. As if the part had raised at its first item.

`close` raises. The others end as they would have; `wait` raises.

What `wait` raises is the very object that was raised first, with notes naming its part and every later
failure; `failures` has them all.

`stop`. Sources are interrupted and nothing more is captured; what was captured drains as at a normal
end, even when a source does not heed. With a deadline, an abort follows when it takes longer.

`abort`. As when a stage raises, without the error. `abort` and `stop` never block and may be repeated.

Stuck. Parts that have not ended `grace_s` after an abort, or after every sink has closed, are reported
by `wait` as StuckStage, by name. Their threads are daemons: the process can exit.

Accounts. captured + created = delivered + dropped by cause + in flight, at every moment; after the end
nothing is in flight, unless a part is stuck. See ledger.py.
"""

from streamseg.pipeline.channel import Channel, ChannelStats, Policy, Reader
from streamseg.pipeline.ledger import Ledger
from streamseg.pipeline.pipeline import Pipeline, StuckStage
from streamseg.pipeline.run import Failure, State
from streamseg.pipeline.signals import CaughtSignals, stop_on_signals
from streamseg.pipeline.stage import Sink, Source, Stage
from streamseg.pipeline.worker import OnError

__all__ = [
    "CaughtSignals",
    "Channel",
    "ChannelStats",
    "Failure",
    "Ledger",
    "OnError",
    "Pipeline",
    "Policy",
    "Reader",
    "Sink",
    "Source",
    "Stage",
    "State",
    "StuckStage",
    "stop_on_signals",
]
