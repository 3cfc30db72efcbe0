from pathlib import Path

import pytest

from streamseg.engines.sidecar import read_sidecar, sidecar_path, write_section
from streamseg.errors import EngineError
from streamseg.files import file_sha256


def test_sections_are_kept_apart(tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    assert read_sidecar(engine) == {}
    write_section(engine, "fingerprint", {"gpu": "one"})
    write_section(engine, "certificate", {"passed": True})
    write_section(engine, "fingerprint", {"gpu": "two"})
    assert read_sidecar(engine) == {"fingerprint": {"gpu": "two"}, "certificate": {"passed": True}}
    assert [p.name for p in tmp_path.iterdir()] == ["a.engine.json"]


@pytest.mark.parametrize("content", ["{", "[1]", "\xff"])
def test_a_damaged_sidecar_says_what_to_do(tmp_path: Path, content: str) -> None:
    engine = tmp_path / "a.engine"
    sidecar_path(engine).write_text(content, encoding="latin-1")
    with pytest.raises(EngineError, match=r"a\.engine\.json.*delete it, build or certify again"):
        read_sidecar(engine)


def test_hash_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    assert file_sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
