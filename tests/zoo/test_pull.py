"""Published weights against a real server: what arrives whole is used, everything else is not."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import asdict

import pytest

from streamseg.errors import CheckpointError, ConfigError
from streamseg.zoo.cache import read_record, weights_path
from streamseg.zoo.download import CHUNK_BYTES
from streamseg.zoo.pull import existing, pull, pulled


@pytest.fixture
def get(tmp_path, hasty, listener):
    """Pull into tmp_path/cache."""

    def run(entry, **options):
        return pull(entry, tmp_path / "cache", watcher=listener, patience=hasty, **options)

    return run


def beside(path):
    """Names in the folder but for locks, which the system may leave."""
    return sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock"))


def test_a_download_is_verified_recorded_and_reported(site, publish, get, listener, tmp_path):
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
        "    def progress(self, done, total):\n"
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


def test_wrong_content_is_kept_apart_and_never_used(site, publish, get, tmp_path, make_archive):
    entry = publish()
    site.content = make_archive(seed=b"evil")
    with pytest.raises(CheckpointError, match=r"its SHA-256 is \w{64} and should begin with \w{8}"):
        get(entry)
    path = weights_path(entry, tmp_path / "cache")
    assert beside(path) == ["weights.pth.corrupt", "weights.pth.part.json"]
    assert len(site.asked) == 2
    assert pulled(entry, tmp_path / "cache") is None


def test_damage_on_the_way_is_repaired_by_the_second_attempt(site, publish, tmp_path, make_archive):
    entry, good = publish(), site.content
    site.content = make_archive(seed=b"flipped")

    class Repair:
        def say(self, text):
            if "not the published file" in text:
                site.content, site.etag = good, '"good"'

        def progress(self, done_bytes, total_bytes): ...

    assert pull(entry, tmp_path, watcher=Repair()).path.read_bytes() == good


def test_without_a_published_hash_the_first_download_is_what_counts(site, publish, get, make_archive):
    entry = publish(sha256="")
    first = get(entry)
    first.path.unlink()
    site.content = make_archive(seed=b"another")
    with pytest.raises(CheckpointError, match=r"not the file that was first downloaded.*delete that record"):
        get(entry)
    first.path.with_name("weights.pth.json").unlink()
    assert get(entry).path.read_bytes() == site.content


def test_a_damaged_record_is_no_reason_to_trust(publish, get):
    path = get(publish()).path
    record = path.with_name("weights.pth.json")
    record.write_text("{")
    with pytest.raises(CheckpointError, match=r"weights.pth.json: the record of the download is damaged"):
        get(publish())


def test_damage_in_the_cache_is_found(site, publish, get):
    path = get(publish()).path
    content = bytearray(site.content)
    content[1000] ^= 1
    path.write_bytes(content)
    assert get(publish()).path.read_bytes() == site.content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>log in</html>", "it is no PyTorch file"),
        (b"PK\x03\x04" + b"\0" * 100, "its archive is damaged"),
    ],
)
def test_what_is_no_file_of_torch_is_refused_even_without_a_hash(site, publish, get, content, said):
    site.content = content
    with pytest.raises(CheckpointError, match=said):
        get(publish(sha256=""))


def test_a_zip_bomb_is_refused_unopened(site, publish, get, tmp_path):
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("weights/data/0", bytes(50_000_000))
    site.content = bomb.read_bytes()
    assert len(site.content) < 100_000
    with pytest.raises(CheckpointError, match=r"would unpack to 50000000: a zip bomb"):
        get(publish(sha256=""))


def test_more_than_weights_have_is_refused(publish, get, listener, monkeypatch):
    monkeypatch.setattr("streamseg.zoo.download.MAX_BYTES", 1_000_000)
    with pytest.raises(CheckpointError, match=r"3000\d+ bytes, more than weights have"):
        get(publish())
    assert listener.steps == []


def test_more_than_weights_have_is_refused_as_it_comes(site, publish, get, monkeypatch):
    monkeypatch.setattr("streamseg.zoo.download.MAX_BYTES", 1_000_000)
    site.length = "chunked"
    with pytest.raises(CheckpointError, match=r"does not end after 1000000 bytes"):
        get(publish())


def test_a_length_told_in_pieces_will_do(site, publish, get, listener):
    site.length = "chunked"
    assert get(publish()).path.read_bytes() == site.content
    assert listener.steps[-1] == (len(site.content), None)


def test_a_server_that_hides_the_length_is_refused(site, publish, get):
    site.length = ""
    with pytest.raises(CheckpointError, match="does not say how long the file is"):
        get(publish(sha256=""))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/weights.pth", "file:///etc/passwd"])
def test_only_http(publish, get, url):
    with pytest.raises(CheckpointError, match="only http and https"):
        get(publish(urls=(url,)))


def test_a_redirect_elsewhere_than_http_is_refused(site, publish, get):
    site.statuses, site.headers = [302], {"Location": "file:///etc/passwd"}
    with pytest.raises(CheckpointError, match="No connection adapters"):
        get(publish())


class Payload:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_with_code_is_never_run(site, publish, get, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `models`")
    from streamseg.models.archive import read_archive

    witness = tmp_path / "executed"
    torch.save({"state_dict": Payload(f"touch {witness}")}, tmp_path / "new.pth")
    old = pickle.dumps(Payload(f"touch {witness}"), protocol=2)
    for content in (old, (tmp_path / "new.pth").read_bytes()):
        site.content = content
        weights = get(publish(sha256="", urls=(f"{site.url}/{len(content)}.pth",)))
        with pytest.raises(CheckpointError, match="not a file of weights"):
            read_archive(weights.path)
    assert not witness.exists()


# -- licences ------------------------------------------------------------------------------------------


def test_non_commercial_weights_ask_first_and_remember(site, publish, get):
    entry = publish(commercial_use=False, licence="for academic use")
    with pytest.raises(ConfigError) as caught:
        get(entry)
    assert "its licence (for academic use) allows no commercial use" in str(caught.value)
    assert "streamseg models pull tiny --accept-non-commercial" in str(caught.value)
    assert site.asked == []
    path = get(entry, accept_non_commercial=True).path
    assert read_record(path).licence_accepted
    assert get(entry).path == path


def test_non_commercial_weights_put_there_by_hand_ask_too(site, publish, get, tmp_path):
    entry = publish(commercial_use=False)
    path = weights_path(entry, tmp_path / "cache")
    path.parent.mkdir(parents=True)
    path.write_bytes(site.content)
    with pytest.raises(ConfigError):
        get(entry)
    get(entry, accept_non_commercial=True)
    assert get(entry).path == path
    assert site.asked == []


# -- disks -----------------------------------------------------------------------------------------------


@pytest.fixture
def mount(tmp_path):
    """A file system of its own; only root may mount one."""
    mounted = []

    def make(options):
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_too_small_a_disk_is_known_before_the_download(site, publish, mount, hasty, listener):
    with pytest.raises(
        CheckpointError, match=r"no space left on the disk, 3.0 MB are needed and 1.0 MB free"
    ):
        pull(publish(), mount("size=1m"), watcher=listener, patience=hasty)
    assert listener.steps == []


def test_a_disk_that_fills_up_meanwhile_is_left_as_it_was(site, publish, mount, hasty):
    folder = mount("size=4m")

    class Fill:
        def say(self, text): ...

        def progress(self, done_bytes, total_bytes):
            if not (folder / "other").exists():
                (folder / "other").write_bytes(bytes(2_000_000))

    with pytest.raises(CheckpointError, match=r"no space left on the disk, the download was removed again"):
        pull(publish(), folder, watcher=Fill(), patience=hasty)
    left = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) - 2_000_000
    assert left < 1000


def test_a_read_only_cache_says_so_and_serves_what_it_has(site, publish, mount, hasty, listener):
    folder = mount("size=8m")
    entry = publish()
    pull(entry, folder, watcher=listener, patience=hasty)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert pull(entry, folder).path.is_file()
    with pytest.raises(CheckpointError, match=r"the cache cannot be written .*--cache FOLDER"):
        pull(publish(layout="mmdet"), folder)


def test_a_read_only_cache_filled_by_hand_is_used(site, publish, mount, listener):
    folder = mount("size=8m")
    path = weights_path(publish(), folder)
    path.parent.mkdir(parents=True)
    path.write_bytes(site.content)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert pull(publish(), folder, watcher=listener).path == path
    assert "is used without a record" in listener.lines[0]


def test_a_file_where_the_cache_should_be(publish, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(CheckpointError, match=r"the cache cannot be written"):
        pull(publish(), tmp_path / "cache")


# -- processes ---------------------------------------------------------------------------------------------


def test_two_processes_at_once_download_once(site, publish, tmp_path):
    site.stall_s = 0.4
    script = (
        "import json, sys; from streamseg.zoo.catalog import PublishedWeights\n"
        "from streamseg.zoo.pull import pull\n"
        "class Out:\n"
        "    def say(self, text): print(text)\n"
        "    def progress(self, done, total): pass\n"
        "print(pull(PublishedWeights(**json.loads(sys.argv[1])), sys.argv[2], watcher=Out()).sha256)\n"
    )
    entry = json.dumps(asdict(publish()))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, entry, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0].splitlines() for process in both]
    digest = hashlib.sha256(site.content).hexdigest()
    assert [lines[-1] for lines in said] == [digest, digest]
    assert len(site.asked) == 1
    assert sum("another process is making it; waiting" in line for lines in said for line in lines) == 1
