"""An engine that was exported by other sources is exported again."""

from pathlib import Path

from streamseg.export.revision import export_revision, sources_digest


def test_every_change_of_a_source_changes_it(tmp_path: Path) -> None:
    (tmp_path / "models" / "solo").mkdir(parents=True)
    tail, single = tmp_path / "models" / "solo" / "tail.py", tmp_path / "engine_contract.py"
    tail.write_text("SIDE = 1\n")
    single.write_text("")
    parts = [tmp_path / "models", single]
    digests = [sources_digest(parts)]
    (tmp_path / "models" / "notes.txt").write_text("no source")
    assert sources_digest(parts) == digests[0]
    for change in (
        lambda: tail.write_text("SIDE = 2\n"),
        lambda: single.write_text("SIDE = 1\n"),
        lambda: tail.rename(tail.with_name("head.py")),
        lambda: (tmp_path / "models" / "new.py").touch(),
    ):
        change()
        digests.append(sources_digest(parts))
    assert len(set(digests)) == 5


def test_it_reads_the_sources_that_are_installed() -> None:
    assert export_revision() != sources_digest([])
