"""What must not be seen, made unseen before anything goes out: fail-closed redaction of one source.

`Redactor` takes `Unreleased` frames and is the only maker of `Redacted` ones. Where it cannot be sure, it
covers more, up to the whole frame.
"""

from streamseg.redaction.config import RedactConfig
from streamseg.redaction.redactor import Redactor
from streamseg.redaction.release import Redacted, Unreleased

__all__ = ["RedactConfig", "Redacted", "Redactor", "Unreleased"]
