"""Which sources may be added from outside: whoever adds one makes this machine read what it names.

Tested in tests/serving/test_api.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from streamseg.addresses import file_path, is_address, shown, split_address
from streamseg.errors import ConfigError

__all__ = ["admitted", "with_kept_secret"]

SCHEMES = ("rtsp", "rtsps", "http", "https")
_SYNTHETIC = re.compile(r"synthetic(:\d+)?(\?[\w=&.]*)?")
_HIDDEN = "***"


def admitted(spec: str, folders: Sequence[str]) -> str:
    """`spec` as it is to be opened: a file by its real path. Raises ConfigError for everything else than an
    address of SCHEMES, `synthetic`, and what really lies in one of `folders`."""
    spec = spec.strip()
    if _SYNTHETIC.fullmatch(spec):
        return spec
    try:
        path = file_path(spec)
    except ValueError as error:
        raise ConfigError(f"{shown(spec)}: {error}") from error
    if is_address(path):
        return _address(path)
    return _in_folders(path, folders)


def _address(spec: str) -> str:
    parts = split_address(spec)
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"{shown(spec)}: a source that is added may be {', '.join(SCHEMES)}")
    try:
        parts.check()
    except ValueError as error:
        raise ConfigError(f"{shown(spec)}: not a valid address: {error}") from error
    if not parts.host:
        raise ConfigError(f"{shown(spec)}: this address names no host")
    return spec


def _in_folders(path: str, folders: Sequence[str]) -> str:
    try:
        real = Path(path).resolve(strict=True)
        allowed = any(real.is_relative_to(Path(folder).resolve()) for folder in folders)
    except (OSError, ValueError, RuntimeError):
        allowed = False
    if not allowed:
        # The same words for what is there and what is not: nobody learns which files exist.
        where = ", ".join(folders) or "no folder; serve.folders in the configuration names some"
        raise ConfigError(f"{shown(path)[:200]}: files may be added from {where}")
    return str(real)


def with_kept_secret(spec: str, old: str) -> str:
    """`spec` with what is masked in it taken from `old`, the same source's former spec.

    Only for the same host and port: a secret must not be sent elsewhere. Raises ConfigError.
    """
    if _HIDDEN not in spec:
        return spec
    if spec == shown(old):
        return old
    new, former = split_address(spec), split_address(old)
    same_place = (new.scheme, new.host, new.port_text) == (former.scheme, former.host, former.port_text)
    rest = new.path + new.query
    if not same_place or _HIDDEN in rest or new.credentials != split_address(shown(old)).credentials:
        raise ConfigError(f"{shown(spec)}: *** keeps the secret only for the same host; write it out")
    return f"{new.scheme}:{new.slashes}{former.credentials}@{spec.rpartition('@')[2]}"
