"""Files of torch.save as data: read without running anything that they hold, written atomically.

Tested in tests/models/weights/test_layouts.py.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from streamseg.errors import CheckpointError
from streamseg.files import atomic_write

__all__ = ["read_archive", "write_archive"]


class Nothing:
    """What an object that is no weight becomes: nothing of it is kept."""

    def __new__(cls, *_arguments: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


# mmengine (mmdetection 3.x) stores its logs beside the weights. Their classes and numpy's are not called:
# each name stands for `Nothing`, so a file may name them and still runs no code.
NOT_KEPT = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
    "numpy.dtypes.Int64DType",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
)


def read_archive(path: Path) -> dict[str, Any]:
    """The dictionary in a file of torch.save: tensors and plain values; logs beside them come out empty.

    Raises CheckpointError for whatever else a file may be, without running code that it may hold.
    """
    try:
        _refuse_bomb(path)
        with torch.serialization.safe_globals([(Nothing, name) for name in NOT_KEPT]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+) was not", str(error))
        what = f"{named[1]}, which is no weight and could run code: refused" if named else "other data"
        raise CheckpointError(f"{path}: not a file of weights (it holds {what})") from error
    except Exception as error:  # torn and hostile files make torch's parser raise whatever it stumbles on
        raise CheckpointError(f"{path}: damaged, or not a PyTorch checkpoint; get it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a state_dict")
    return content


def _refuse_bomb(path: Path) -> None:
    """torch.save compresses nothing: an archive that unpacks to more than its own size was made to harm."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint ({path.stat().st_size} bytes that unpack to {unpacked})"
        )


def write_archive(content: Mapping[str, Any], path: Path) -> None:
    """Write atomically: a reader, or a kill, never sees half a file."""
    with atomic_write(path) as part, part.open("wb") as file:
        torch.save(dict(content), file)
