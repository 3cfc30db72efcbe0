"""Files written whole or not at all, and which file is which."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from os import strerror
from pathlib import Path

import pytest

from streamseg.errors import CheckpointError, SinkError
from streamseg.files import (
    atomic_write,
    check_file_replaceable,
    check_file_writable,
    file_sha256,
    is_pipe,
    remove_stale_parts,
    same_file,
    user_cache_dir,
    write_bytes,
    write_failure,
    write_json,
    write_text,
)


@pytest.mark.parametrize("sync", [True, False])
def test_content_appears_at_the_end_of_the_block(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_write(path, sync=sync) as part:
        part.write_bytes(b"new")
        assert part.parent == tmp_path
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_are_unique(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as one, atomic_write(tmp_path / "a") as other:
        assert one != other


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_content_and_no_part(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_limit_on_the_file_leaves_the_old_content_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_bytes(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_in_the_block_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    code = (
        "import os, signal, sys, pathlib\nfrom streamseg.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(tmp_path.iterdir()) - {path}
    remove_stale_parts(tmp_path, re.compile("a"))
    assert left.exists(), "a part of this minute may be another process's"
    os.utime(left, (0, 0))
    (tmp_path / ".b.00000000.part").write_text("another's")
    os.utime(tmp_path / ".b.00000000.part", (0, 0))
    remove_stale_parts(tmp_path, re.compile("a"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"a", ".b.00000000.part"}


def test_permissions_are_those_of_an_ordinary_file_or_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "new", "x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    write_text(tmp_path / "new", "y")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_links_are_followed_unless_told_not_to(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "inner" / "file"
    file.parent.mkdir()
    link.symlink_to(file)
    write_text(link, "dangling until now")
    assert link.is_symlink()
    assert file.read_text() == "dangling until now"
    write_bytes(link, b"own", follow_links=False)
    assert not link.is_symlink()
    assert (link.read_text(), file.read_text()) == ("own", "dangling until now")


def test_devices_and_pipes_are_written_to_and_stay(tmp_path: Path) -> None:
    write_text(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match=strerror(errno.ENOSPC)):
        write_text(Path("/dev/full"), "x")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "x")
    reader.join()
    assert read == ["x"]
    assert is_pipe(pipe)


def test_json_is_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"name": "Zoë", "n": [1, 2]}, indent=None)
    assert (tmp_path / "a").read_text() == '{"name": "Zoë", "n": [1, 2]}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a", float("inf"))


def test_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    check_file_replaceable(path)
    write_text(path, "x")
    assert path.read_text() == "x"


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "abc") == digest


@pytest.mark.parametrize("check", [check_file_writable, check_file_replaceable])
def test_checking_a_file_leaves_no_trace(tmp_path: Path, check) -> None:
    check(tmp_path / "new")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    check(tmp_path / "link")
    (tmp_path / "old").write_text("kept")
    check(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "old"]
    check(Path("/dev/null"))


def test_checking_a_pipe_does_not_open_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file_writable(pipe)  # without a reader, opening waits for ever
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    check_file_writable(pipe)
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize("check", [check_file_writable, check_file_replaceable])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere/a", "nowhere does not exist; create it: mkdir -p"),
        (".", "is a folder; name a file inside it"),
        ("x" * 256, "xxx…: the name is too long for the file system; choose a shorter one"),
        ("a\0b", "a\\x00b: cannot be written: .*null"),
        ("socket", "socket: cannot be written: is a socket; name a file"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, check, name: str, says: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(SinkError, match=re.escape(says).replace(r"\.\*", ".*")) as caught:
            check(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOENT, "the folder logs does not exist; create it: mkdir -p logs"),
        (errno.EISDIR, "is a folder"),
        (errno.EACCES, "choose a folder you can write to"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EFBIG, "ulimit"),
        (errno.EPIPE, "has gone away"),
        (errno.EIO, "cannot be written: .*Input/output"),
    ],
)
def test_failures_name_the_file_and_the_cure(number: int, says: str) -> None:
    error = write_failure(Path("logs/out.mp4"), OSError(number, strerror(number)))
    with pytest.raises(SinkError, match=rf"^logs/out\.mp4: .*{says}") as caught:
        raise error
    assert "\n" not in str(caught.value)


def test_failures_of_another_kind_and_names_with_escapes() -> None:
    error = write_failure(Path("a\x1b[31m"), OSError(errno.EIO, "bad"), CheckpointError)
    assert type(error) is CheckpointError
    assert str(error) == r"a\x1b[31m: cannot be written: bad"


def test_one_file_by_several_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("")
    Path("hard").hardlink_to("a")
    Path("soft").symlink_to("a")
    Path("dangling").symlink_to("new")
    Path("folder").mkdir()
    Path("way").symlink_to("folder")
    same = [("a", "hard"), ("a", "soft"), ("a", tmp_path / "folder" / ".." / "a")]
    same += [("new", "dangling"), ("new", "./new"), ("folder/new", "way/new"), ("folder", "way/")]
    for one, other in same:
        assert same_file(one, other), (one, other)
    for one, other in [("a", "new"), ("new", "newer"), ("folder", "a"), ("new", "NEW"), ("a", "x" * 300)]:
        assert not same_file(one, other), (one, other)


def test_case_counts_as_little_as_it_does_to_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "Out").mkdir()
    assert not same_file(tmp_path / "Out" / "a.mp4", tmp_path / "Out" / "A.mp4")
    (tmp_path / "oUT").symlink_to("Out")  # as a file system looks that takes both for one
    assert same_file(tmp_path / "Out" / "a.mp4", tmp_path / "Out" / "A.mp4")


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache_dir() == Path("/somewhere/streamseg")
