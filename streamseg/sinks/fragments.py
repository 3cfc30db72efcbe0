"""The top-level boxes of an mp4 that is still being written (ISO/IEC 14496-12, 4.2).

Tested in tests/sinks/test_video_sink.py.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cut_to_whole_fragments"]

_WIDE = 1
"""In the 32-bit size field: a 64-bit size follows."""


def cut_to_whole_fragments(path: Path) -> int:
    """Cut a fragmented mp4 whose writing broke off to the end of its last whole fragment.

    Players get over half a frame at the end of a file; strict readers call the whole file damaged.
    A file without a whole fragment is left as it is. Gives their number. Raises OSError.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        position, keep, whole_fragments = 0, 0, 0
        while position + 16 <= size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == _WIDE:
                length = int.from_bytes(header[8:], "big")
            if length < 8 or position + length > size:
                break
            position += length
            if header[4:8] != b"moof":  # of no use without the mdat after it
                keep = position
            whole_fragments += header[4:8] == b"mdat"
        if whole_fragments:
            file.truncate(keep)
    return whole_fragments
