"""Packets of one source into one file after another. Tested in tests/sinks/test_recorder.py."""

from __future__ import annotations

import errno
import logging
import time

from streamseg.encoded import EncodedPacket
from streamseg.errors import SinkError
from streamseg.sinks.packet_file import PacketFile
from streamseg.sinks.shelf import Shelf

__all__ = ["Reel"]

_log = logging.getLogger(__name__)
_PROOF_NS = 2_000_000_000
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT}
PAUSE_SECONDS = 10.0
"""Before a disk that was full is tried again."""


class Reel:
    """A new file when the camera came back, changed its resolution or codec, or the file is long enough;
    each begins with a key picture. A disk that is full costs what cannot be written, and is tried again."""

    def __init__(self, shelf: Shelf, source_id: str, *, longest_s: float | None, name: str = "") -> None:
        """`longest_s`: a file ends with the first key picture after so long. `name`: see `Shelf.path`."""
        self.trouble = ""
        """Why nothing is written; empty while it is."""
        self.files = 0
        self.lost = 0
        """Packets that could not be written."""
        self._shelf = shelf
        self._source_id = source_id
        self._longest_ns = None if longest_s is None else round(longest_s * 1e9)
        self._name = name
        self._file: PacketFile | None = None
        self._not_before = 0.0

    def take(self, packet: EncodedPacket) -> None:
        """Write one packet, or count it as lost."""
        try:
            if self._file and not self._has_room(self._file, packet):
                self._end()
            if self._file:
                self._file.write(packet)
                self._recover(self._file, packet)
            elif packet.is_key and time.monotonic() >= self._not_before:
                self._begin(packet)
            else:
                self.lost += bool(self.trouble)
        except SinkError as error:
            self._fail(error)

    def close(self) -> None:
        """Finish the file. Idempotent."""
        try:
            self._end()
        except SinkError as error:
            self._fail(error)

    def _has_room(self, file: PacketFile, packet: EncodedPacket) -> bool:
        if not file.goes_on_with(packet):
            return False
        long_enough = self._longest_ns is not None and packet.arrived_ns - file.began_ns >= self._longest_ns
        return not (packet.is_key and long_enough)

    def _begin(self, packet: EncodedPacket) -> None:
        self._shelf.trim()
        self._file = PacketFile(self._shelf.path(self._source_id, packet.utc_ns, self._name), packet)
        self.files += 1

    def _recover(self, file: PacketFile, packet: EncodedPacket) -> None:
        """A disk that is full takes the beginning of many a file."""
        if self.trouble and packet.arrived_ns - file.began_ns >= _PROOF_NS:
            _log.warning("%s: is recorded again", self._source_id)
            self.trouble = ""

    def _end(self) -> None:
        file, self._file = self._file, None
        if file:
            try:
                file.close()
            finally:
                self._shelf.put(file.path)

    def _fail(self, error: SinkError) -> None:
        self.lost += 1
        file, self._file = self._file, None
        if file:
            self._shelf.put(file.path)
        said, self.trouble = self.trouble, str(error)
        if not said:
            _log.warning("%s: is not recorded: %s", self._source_id, self.trouble)
        # A picture that came damaged is no reason to wait.
        if getattr(error.__cause__, "errno", None) in _OF_THE_DISK:
            self._not_before = time.monotonic() + PAUSE_SECONDS
