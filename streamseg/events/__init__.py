"""What happens in the picture, by rules on masks and tracks: zones, lines, counts, contacts, speed.

`Watch` is one source's rules at work; each kind of rule is a pure step of state, observation and time.
"""

from streamseg.events.config import EventsConfig
from streamseg.events.watch import Watch

__all__ = ["EventsConfig", "Watch"]
