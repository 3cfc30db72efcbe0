"""What a downloaded file must look like before anything opens it. Tested in tests/zoo/test_pull_trust.py."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["objection"]

PICKLE_PROTOCOL = b"\x80"
ZIP = b"PK\x03\x04"


def objection(path: Path) -> str:
    """Why `path` cannot be a file of torch.save; empty when it can. Reads names and sizes, nothing else.

    Pages of a login or an error come as files too. torch.save stores without compression, so an archive
    that would unpack to more than itself was made by something else: a zip bomb.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(PICKLE_PROTOCOL):  # what torch.save wrote before version 1.6
        return ""
    if head != ZIP:
        return "it is no PyTorch file (an error page?)"
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "its archive is damaged"
    size = path.stat().st_size
    return f"its {size} bytes would unpack to {unpacked}: a zip bomb" if unpacked > size else ""
