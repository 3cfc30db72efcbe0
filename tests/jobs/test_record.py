"""What `--record` says of the run: engine, certificate, clip."""

from streamseg.engines.engine_file import open_engine_file
from streamseg.jobs.obtain import engine_path
from streamseg.overlay.palette import PALETTE
from streamseg.records.header import clip_fingerprint
from streamseg.records.store import RunRecord


def test_a_record_names_its_engine_and_its_clip(recorded_run):
    engine = open_engine_file(engine_path("shapes", None, None))
    with RunRecord(recorded_run.record) as recording:
        [take] = recording.takes
    assert take.header.engine_sha256 == engine.sha256
    assert take.header.classes == engine.info.classes
    assert take.header.engine.startswith("shapes.onnx")
    assert take.header.redacted == ()
    assert len(take.header.colours) == len(PALETTE)
    assert take.header.colours[0] == "#{2:02x}{1:02x}{0:02x}".format(*PALETTE[0])
    assert (take.header.certificate == "") == (take.header.certificate_sha256 == "")
    assert take.spec == str(recorded_run.clip)
    assert take.fingerprint == clip_fingerprint(str(recorded_run.clip))
