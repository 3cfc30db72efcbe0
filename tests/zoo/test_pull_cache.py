"""The cache: licences remembered, disks that are full or read-only, two processes at once."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from streamseg.errors import CheckpointError, ConfigError
from streamseg.zoo.cache import read_record, weights_path
from streamseg.zoo.pull import pull

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

        def progress(self, what, done_bytes, total_bytes):
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
        "import json, sys; from streamseg.zoo.published import PublishedWeights\n"
        "from streamseg.zoo.pull import pull\n"
        "class Out:\n"
        "    def say(self, text): print(text)\n"
        "    def progress(self, what, done, total): pass\n"
        "print(pull(PublishedWeights(**json.loads(sys.argv[1])), sys.argv[2], watcher=Out()).sha256)\n"
    )
    entry = json.dumps(asdict(publish()))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, entry, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=500)[0].splitlines() for process in both]
    digest = hashlib.sha256(site.content).hexdigest()
    assert [lines[-1] for lines in said] == [digest, digest]
    assert len(site.asked) == 1
    assert sum("another process is making it; waiting" in line for lines in said for line in lines) == 1
