"""What stands where a source or an output is named: addresses without their secrets, short names, file names.

An address is taken apart as FFmpeg does it, which is what connects: the host begins after the last `@` before
the first `/`, `?` or `#`. Where a password may hold one of these, nothing before the last `@` is shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from urllib.parse import unquote

__all__ = [
    "Address",
    "file_path",
    "for_ffmpeg",
    "is_address",
    "printable",
    "short_name",
    "shown",
    "source_id_beside",
    "source_ids",
    "split_address",
    "without_secrets",
]

_NETWORK = "https?|rtsps?|rtmp[a-z]*|srt|udp|tcp|tls|ftps?|sftp|mmsh|mmst|rtp|srtp|hls"
_ADDRESS = re.compile(rf"\s*(?:[a-z][a-z0-9+.-]+://|(?:{_NETWORK}):/)", re.IGNORECASE)
# Wherever it stands in a text, and also without its slashes: what is hidden is more than what is opened.
_ANYWHERE = re.compile(rf"(?:\b[a-z][a-z0-9+.-]+:/+|\b(?:{_NETWORK}):(?!\s))", re.IGNORECASE)
_SECRET_IN_PATH = re.compile(
    r"((?:user|name|pass|pwd|token|key|auth|sig|secret|session|credential)[a-z0-9_-]*=)[^/]*", re.IGNORECASE
)
_HIDDEN = "***"
_LONGEST_NAME = 100
"""Characters of a source's id; file names made of it have at most 255 bytes."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of `scheme://user:password@host:port/path?query#fragment`, unescaped nowhere."""

    scheme: str
    """In lower case."""
    slashes: str
    credentials: str | None
    """`user:password`, or None where there is no `@`."""
    host: str
    """Without the brackets of an IPv6 address."""
    port_text: str
    path: str
    query: str
    """With its `?` or `#`, which may be all there is after the host."""

    @property
    def port(self) -> int | None:
        """None where none is given. Raises ValueError, in words that hold no secret."""
        if not self.port_text:
            return None
        if not self.port_text.isascii() or not self.port_text.isdecimal() or int(self.port_text) > 65535:
            late = "@" in self.path + self.query
            cure = "; in a name or password / is written %2F, ? %3F and # %23" if late else ""
            raise ValueError(f"the port after the host is not a number up to 65535{cure}")
        return int(self.port_text)

    def check(self) -> None:
        """Raise ValueError where there is nothing to connect to; the words hold no secret."""
        if "[" in self.host:
            raise ValueError("the [ of its IPv6 address has no ]")
        _ = self.port


def is_address(spec: str) -> bool:
    """Whether `spec` is an address (`scheme://…`), also with blanks before it; else it names a file."""
    return _ADDRESS.match(spec) is not None


def split_address(spec: str) -> Address:
    """The parts of an address as FFmpeg reads them; never fails. `Address.check` says what is wrong."""
    return _split(spec, lambda rest: rest.rfind("@", 0, _first_of("/?#", rest)))


def _split_with_care(spec: str) -> Address:
    """The same, except that all before the last `@` of all is credentials where it may hold a password."""
    return _split(spec, _last_at)


def _last_at(rest: str) -> int:
    late = rest.rfind("@")
    return late if ":" in rest[: max(late, 0)] else rest.rfind("@", 0, _first_of("/?#", rest))


def _split(spec: str, place_of_at: Callable[[str], int]) -> Address:
    scheme, slashes, rest = _cut(spec.strip())
    at = place_of_at(rest)
    credentials, rest = (rest[:at], rest[at + 1 :]) if at >= 0 else (None, rest)
    host_end = _first_of("/?#", rest)
    path_end = _first_of("?#", rest)
    host, port_text = _host_and_port(rest[:host_end])
    return Address(
        scheme.lower(), slashes, credentials, host, port_text, rest[host_end:path_end], rest[path_end:]
    )


def _cut(address: str) -> tuple[str, str, str]:
    scheme, _, rest = address.partition(":")
    bare = rest.lstrip("/")
    slashes = rest[: min(2, len(rest) - len(bare))]
    return scheme, slashes, rest[len(slashes) :]


def _first_of(signs: str, text: str) -> int:
    return min((at for at in map(text.find, signs) if at >= 0), default=len(text))


def _host_and_port(authority: str) -> tuple[str, str]:
    if authority.startswith("[") and "]" in authority:
        host, _, rest = authority[1:].partition("]")
        return host, rest.removeprefix(":")
    if authority.startswith("["):
        return authority, ""
    host, _, port = authority.partition(":")
    return host, port


def for_ffmpeg(spec: str) -> str:
    """The address as FFmpeg takes it: no blanks around it, the scheme in lower case."""
    scheme, _, rest = spec.strip().partition(":")
    return f"{scheme.lower()}:{rest}"


def file_path(spec: str) -> str:
    """The path that `spec` names: a `file:///…` address decoded, anything else as it is.

    Raises ValueError for a file address that names another machine.
    """
    if not re.match(r"\s*file:/", spec, re.IGNORECASE):
        return spec
    rest = spec.strip()[len("file:") :]
    if not rest.startswith("//"):
        return unquote(rest)
    host, slash, path = rest[2:].partition("/")
    if host.lower() not in ("", "localhost"):
        raise ValueError(f"a file address has three slashes, file:///{host}{slash}{path}")
    return unquote(slash + path)


def without_secrets(spec: str) -> str:
    """`spec` without what may let somebody else in: password, a lone user name, values of the query.

    Anything that is no address comes back as it is; of a text with an address in it, all after the address's
    beginning is taken for the address.
    """
    start = _ANYWHERE.search(spec)
    if start is None or spec[start.start() :].lower().startswith("file:"):
        return spec
    address = _split_with_care(spec[start.start() :])
    written_scheme = spec[start.start() :].partition(":")[0]
    host = f"[{address.host}]" if re.match(r"[^[]*:", address.host) else address.host
    port = f":{address.port_text}" if address.port_text else ""
    place = f"{_shown_user(address.credentials)}{host}{port}{_shown_path(address.path)}"
    return f"{spec[: start.start()]}{written_scheme}:{address.slashes}{place}{_shown_query(address.query)}"


def _shown_user(credentials: str | None) -> str:
    if credentials is None:
        return ""
    user, _, password = credentials.partition(":")
    # Alone, a user's name may be a token.
    return f"{user}:{_HIDDEN}@" if user and password else f"{_HIDDEN}@"


def _shown_path(path: str) -> str:
    """Some cameras want `/user=…_password=…` in the path."""
    return _SECRET_IN_PATH.sub(rf"\1{_HIDDEN}", path)


def _shown_query(query: str) -> str:
    if not query:
        return ""
    asked, hash_sign, _ = query.partition("#")
    if asked:
        asked = "?" + re.sub(r"(?<![^&;])([^&;=]+=)?[^&;]+", rf"\1{_HIDDEN}", asked[1:])
    return asked + (f"#{_HIDDEN}" if hash_sign else "")


def printable(text: str | PathLike[str]) -> str:
    """`text` with escapes (`\\x1b`) for what a terminal would obey, and for what cannot be encoded."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else _escaped(c) for c in str(text)
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shown(spec: str) -> str:
    """A source or output as messages, logs and summaries name it: without secrets, fit for a terminal."""
    return printable(without_secrets(spec))


def short_name(spec: str) -> str:
    """For ids and file names: the stem of a file, host and path of an address, a webcam's number.

    ASCII letters, digits, `.`, `_` and `-`, at least one and at most 100; no secret.
    """
    if is_address(spec) and not spec.strip().lower().startswith("file:"):
        address = _split_with_care(spec)
        name = f"{address.host}-{address.port_text}-{_shown_path(address.path)}"
    elif spec.startswith("synthetic"):
        name = spec.split("?")[0]
    else:
        name = without_secrets(spec.rstrip("/").rpartition("/")[2])
        name = name.rpartition(".")[0] or name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return re.sub(r"-{2,}", "-", name)[:_LONGEST_NAME].strip("-.") or "source"


def source_ids(specs: Sequence[str]) -> list[str]:
    """A short name for each source, no two alike, not even where a file system ignores case."""
    ids: list[str] = []
    for spec in specs:
        ids.append(source_id_beside(spec, ids))
    return ids


def source_id_beside(spec: str, others: Iterable[str]) -> str:
    """A short name for a source that none of `others` has, not even where a file system ignores case."""
    taken = {other.casefold() for other in others}
    name = unique = short_name(spec)
    number = 2
    while unique.casefold() in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
