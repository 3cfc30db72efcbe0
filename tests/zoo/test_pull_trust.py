"""What comes over the wire is not trusted: other content, bombs, code."""

import os
import pickle
import zipfile

import pytest

from streamseg.errors import CheckpointError
from streamseg.zoo.cache import weights_path
from streamseg.zoo.pull import pull, pulled


def test_wrong_content_is_kept_apart_and_never_used(site, publish, get, tmp_path, make_archive, beside):
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

        def progress(self, what, done_bytes, total_bytes): ...

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
    from streamseg.models.weights.archive import read_archive

    witness = tmp_path / "executed"
    torch.save({"state_dict": Payload(f"touch {witness}")}, tmp_path / "new.pth")
    old = pickle.dumps(Payload(f"touch {witness}"), protocol=2)
    for content in (old, (tmp_path / "new.pth").read_bytes()):
        site.content = content
        weights = get(publish(sha256="", urls=(f"{site.url}/{len(content)}.pth",)))
        with pytest.raises(CheckpointError, match="not a file of weights"):
            read_archive(weights.path)
    assert not witness.exists()
