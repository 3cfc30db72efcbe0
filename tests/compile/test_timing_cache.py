"""What is kept between builds. TensorRT proper builds on a GPU only: its builder's config is a stand-in."""

from types import SimpleNamespace

import pytest

from streamseg.compile import timing_cache
from streamseg.compile.timing_cache import kept_timings
from streamseg.engines.machine import Machine
from streamseg.errors import EngineError

TENSORRT, TENSORRT_RTX = SimpleNamespace(), SimpleNamespace(ComputeCapability=int)


class Config:
    """A builder's config that takes timings of its own driver only, and adds one at each build."""

    def __init__(self) -> None:
        self.taken = None

    def create_timing_cache(self, stored: bytes) -> bytes:
        return stored

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        if ignore_mismatch or not (cache == b"" or cache.startswith(b"ours")):
            return False
        self.taken = cache
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: self.taken + b"ours ")


@pytest.fixture(autouse=True)
def a_gpu(monkeypatch):
    monkeypatch.setattr(timing_cache, "this_machine", lambda: Machine("11.4", "TensorRT", "GPU A/B", "9.0"))


def build(folder):
    """The timings that a build was given."""
    config = Config()
    with kept_timings(TENSORRT, config, folder):
        given = config.taken
    return given


def test_a_build_is_given_what_the_one_before_measured(tmp_path):
    assert [build(tmp_path) for _ in range(3)] == [b"", b"ours ", b"ours ours "]
    assert [path.name for path in (tmp_path / "tensorrt").iterdir()] == ["11.4-GPU_A_B-9.0.timing"]


def test_timings_of_another_driver_are_replaced(tmp_path):
    build(tmp_path)
    (written,) = (tmp_path / "tensorrt").iterdir()
    written.write_bytes(b"theirs")
    assert build(tmp_path) == b""
    assert written.read_bytes() == b"ours "


def test_tensorrt_rtx_measures_nothing(tmp_path):
    config = Config()
    with kept_timings(TENSORRT_RTX, config, tmp_path):
        assert config.taken is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"file/tensorrt: cannot be written \(.*\); choose --cache FOLDER"):
        build(tmp_path / "file")
