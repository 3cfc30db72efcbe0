"""Published weights against a real server: what arrives whole is used, everything else is not."""

import hashlib
import json
import subprocess
import sys

import pytest

from streamseg.errors import CheckpointError
from streamseg.zoo.cache import read_record, weights_path
from streamseg.zoo.download import CHUNK_BYTES
from streamseg.zoo.pull import existing, pull, pulled


def test_a_download_is_verified_recorded_and_reported(site, publish, get, listener, tmp_path, beside):
    entry = publish()
    weights = get(entry)
    assert weights.path == tmp_path / "cache" / "weights" / "dbolya" / "weights.pth"
    assert weights.path.read_bytes() == site.content
    assert weights.sha256 == hashlib.sha256(site.content).hexdigest()
    assert beside(weights.path) == ["weights.pth", "weights.pth.json"]
    assert json.loads((weights.path.parent / "weights.pth.json").read_text()) == {
        "source": site.url,
        "sha256": weights.sha256,
        "size_bytes": len(site.content),
        "licence_accepted": False,
    }
    size = len(site.content)
    assert listener.steps[-1] == (size, size)
    assert listener.steps == sorted(listener.steps)
    assert listener.lines == [f"tiny: downloading {site.url}"]


def test_the_second_pull_asks_no_server(site, publish, get, tmp_path):
    first = get(publish())
    assert (
        get(publish())
        == first
        == pulled(publish(), tmp_path / "cache")
        == existing(publish(), tmp_path / "cache")
    )
    assert len(site.asked) == 1


def test_a_broken_connection_is_resumed(site, publish, get, listener):
    site.cuts = [1_000_000]
    assert get(publish()).path.read_bytes() == site.content
    first, second = site.asked
    assert "Range" not in first
    assert second["If-Range"] == '"one"'
    start = int(second["Range"].removeprefix("bytes=").rstrip("-"))
    assert 1_000_000 - CHUNK_BYTES < start <= 1_000_000
    assert site.sent == 1_000_000 + len(site.content) - start
    assert "trying again" in listener.lines[1]


def test_a_killed_download_is_resumed_by_the_next(site, publish, tmp_path, listener):
    script = (
        "import os, sys; from streamseg.zoo.download import Patience, download; from pathlib import Path\n"
        "class Kill:\n"
        "    def say(self, text): pass\n"
        "    def progress(self, what, done, total):\n"
        "        if done > 1_000_000: os._exit(9)\n"
        "download(sys.argv[1], Path(sys.argv[2]), Kill(), Patience())\n"
    )
    target = weights_path(publish(), tmp_path / "cache")
    target.parent.mkdir(parents=True)
    assert subprocess.run([sys.executable, "-c", script, site.url, str(target)]).returncode == 9
    assert not target.exists()
    start = target.with_name("weights.pth.part").stat().st_size
    assert start > 700_000
    assert pull(publish(), tmp_path / "cache", watcher=listener).path.read_bytes() == site.content
    assert site.asked[1]["Range"] == f"bytes={start}-"


def test_a_file_that_changed_meanwhile_starts_anew(site, publish, get, make_archive):
    site.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(CheckpointError):
        get(publish())
    site.content, site.etag = make_archive(seed=b"b"), '"two"'
    assert get(publish()).path.read_bytes() == site.content


def test_a_server_that_resumes_another_file_starts_anew(site, publish, get, make_archive):
    """It ignores If-Range; the tag of what it sends tells."""
    site.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(CheckpointError):
        get(publish())
    site.content, site.etag = make_archive(seed=b"b"), 'W/"two"'
    site.headers = {"Content-Range": "bytes 5-9/10"}
    site.statuses = [206]
    assert get(publish()).path.read_bytes() == site.content


def test_a_server_without_ranges_starts_anew(site, publish, get):
    site.ranges = False
    site.cuts = [1_000_000, 2_000_000]
    assert get(publish()).path.read_bytes() == site.content
    assert len(site.asked) == 3


@pytest.mark.slow
def test_a_stalled_connection_is_left(site, publish, get, listener):
    site.stall_s = 1.2
    with pytest.raises(CheckpointError, match=r"timed out"):
        get(publish())
    assert "timed out; trying again" in " ".join(listener.lines)


def test_always_cut_off_is_an_end_not_a_loop(site, publish, get, tmp_path):
    site.cuts = [100] * 99
    site.ranges = False
    with pytest.raises(CheckpointError) as caught:
        get(publish())
    path = weights_path(publish(), tmp_path / "cache")
    assert "the connection broke off" in str(caught.value)
    assert len(site.asked) == 4
    assert not path.exists()


@pytest.mark.parametrize("status", [503, 429])
def test_a_busy_server_is_asked_again(site, publish, get, status):
    site.statuses = [status, status]
    assert get(publish()).path.is_file()
    assert len(site.asked) == 3


def test_it_waits_as_long_as_the_server_asks(site, publish, get, listener):
    site.statuses, site.headers = [429], {"Retry-After": "1"}
    get(publish())
    assert "HTTP 429; trying again in 1 s" in listener.lines[1]


@pytest.mark.parametrize(
    ("status", "said"), [(404, "is not there any more"), (410, "is not there any more"), (403, "is refused")]
)
def test_a_dead_link_comes_with_a_cure(site, publish, get, tmp_path, status, said):
    site.statuses = [status] * 9
    with pytest.raises(CheckpointError) as caught:
        get(publish())
    path = weights_path(publish(), tmp_path / "cache")
    assert str(caught.value) == (
        f"tiny: {site.url}: {said} (HTTP {status}). Where there is a network fetch {site.url} "
        f"(or find weights.pth through https://example.org/tiny) and put it at {path}"
    )
    assert len(site.asked) == 1


def test_a_mirror_is_the_first_cure(site, publish, get):
    site.statuses = [404]
    entry = publish(urls=(site.url, site.url + "?mirror"))
    assert read_record(get(entry).path).source == site.url + "?mirror"


def test_offline_says_what_to_fetch_and_where_to_put_it(publish, get, tmp_path):
    entry = publish(urls=("http://127.0.0.1:1/weights.pth",))
    with pytest.raises(CheckpointError, match=r"Connection refused\. .*fetch http://127.0.0.1:1/weights.pth"):
        get(entry)


def test_a_file_put_there_by_hand_counts(site, publish, get, tmp_path):
    path = weights_path(publish(), tmp_path / "cache")
    path.parent.mkdir(parents=True)
    path.write_bytes(site.content)
    assert pulled(publish(), tmp_path / "cache") is None
    assert get(publish()).path == path
    assert site.asked == []
    assert read_record(path).source == "by hand"
    assert pulled(publish(), tmp_path / "cache").path == path


@pytest.mark.parametrize("keep", [0.5, 0.0])
def test_half_a_file_put_there_by_hand_is_fetched_again(site, publish, get, tmp_path, listener, keep):
    path = weights_path(publish(), tmp_path / "cache")
    path.parent.mkdir(parents=True)
    path.write_bytes(site.content[: int(len(site.content) * keep)])
    assert get(publish()).path.read_bytes() == site.content
    assert "not the published file" in listener.lines[0]
    assert path.with_name("weights.pth.corrupt").is_file()
