"""Names of published weights on the command line and as engines."""

import hashlib
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from streamseg.cli import app
from streamseg.engines.locate import read_info
from streamseg.errors import CheckpointError, ConfigError, EngineError
from streamseg.jobs.obtain import engine_path
from streamseg.zoo.published import PUBLISHED


@pytest.fixture
def tiny(site, publish, monkeypatch):
    """`tiny` is published on the local server."""
    monkeypatch.setitem(PUBLISHED, "tiny", publish())
    return PUBLISHED["tiny"]


@pytest.fixture
def command(tmp_path):
    """Run `streamseg …` here, with a cache of its own; an error of ours is raised."""

    def run(*words):
        done = CliRunner().invoke(app, [*map(str, words), "--cache", str(tmp_path / "cache")])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done

    return run


def test_pull_prints_the_path_and_nothing_else(site, tiny, command, tmp_path):
    done = command("models", "pull", "tiny")
    assert done.stdout.strip() == str(tmp_path / "cache" / "weights" / "dbolya" / "weights.pth")
    assert f"tiny: downloading {site.url}" in done.stderr
    assert command("models", "path", "tiny").stdout == done.stdout
    assert command("models", "pull", "tiny").stderr == ""
    (line,) = (line for line in command("models").stdout.splitlines() if line.startswith("  tiny "))
    assert line.endswith("mask AP 12.3 val2017, 3.0 MB, MIT, pulled")


def test_what_is_not_pulled_has_no_path(tiny, command):
    with pytest.raises(CheckpointError, match=r"not pulled yet; .*streamseg models pull tiny"):
        command("models", "path", "tiny")


def test_a_restricted_licence_is_said_before_anything_is_fetched(site, publish, command, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "tiny", publish(commercial_use=False))
    with pytest.raises(ConfigError, match="allows no commercial use"):
        command("models", "pull", "tiny")
    assert site.asked == []
    command("models", "pull", "tiny", "--accept-non-commercial")


def test_misspelt_engines_get_the_nearest_published_name():
    with pytest.raises(EngineError, match=r"^yolact_r51: no such engine file; did you mean 'yolact_r50'\?$"):
        engine_path("yolact_r51")
    with pytest.raises(EngineError, match=r"published ones: streamseg models$"):
        engine_path("nothing/like/it")


def test_weights_without_a_network_are_not_even_fetched(site, tiny, tmp_path):
    pytest.importorskip("torch", reason="needs the extra `models`")
    with pytest.raises(
        ConfigError, match=r"^tiny: .*this version has no network 'tiny' to run them; it has "
    ):
        engine_path("tiny", tmp_path)
    assert site.asked == []


@pytest.fixture
def tiny_network(tiny_model, monkeypatch):
    """`tiny` is a network of the catalogue, with a size that is exported in seconds."""
    from streamseg.models.network import NETWORK_NAMES
    from streamseg.models.yolact.catalog import CONFIGS

    monkeypatch.setitem(CONFIGS, "tiny", replace(tiny_model.config, name="tiny"))
    monkeypatch.setattr("streamseg.models.network.NETWORK_NAMES", (*NETWORK_NAMES, "tiny"))
    return tiny_model


@pytest.fixture
def publish_state(site, publish, monkeypatch, tmp_path):
    """Publish tensors by name as the weights of `tiny`."""
    torch = pytest.importorskip("torch", reason="needs the extra `models`")

    def run(state):
        torch.save(state, tmp_path / "state.pth")
        site.content = (tmp_path / "state.pth").read_bytes()
        monkeypatch.setitem(PUBLISHED, "tiny", publish())

    return run


@pytest.mark.slow
def test_export_pulls_the_weights_it_is_not_given(site, tiny_network, publish_state, command, tmp_path):
    state = tiny_network.state_dict()
    state.popitem()
    publish_state(state)
    with pytest.raises(CheckpointError, match=r"weights\.pth: does not fit tiny: 1 missing"):
        command("export", "tiny", "-o", tmp_path / "tiny.onnx")
    assert len(site.asked) == 1
    assert not (tmp_path / "tiny.onnx").exists()


@pytest.mark.slow
def test_an_engine_is_fetched_and_exported_once(
    site, tiny_network, publish_state, tmp_path, command, listener
):
    publish_state(tiny_network.state_dict())
    done = command("run", "synthetic?size=96x64", "--engine", "tiny", "--max-frames", 2)
    made = engine_path("tiny", tmp_path / "cache", listener)
    assert [site.url in done.stderr, f"exporting to {made}" in done.stderr] == [True, True]
    assert read_info(made).checkpoint_sha256 == hashlib.sha256(site.content).hexdigest()

    assert engine_path("tiny", tmp_path / "cache", listener) == made
    command("run", "synthetic?size=96x64", "--engine", "tiny", "--max-frames", 2)
    assert (len(site.asked), listener.lines) == (1, [])
    assert [path.name for path in made.parent.glob("*.onnx")] == [made.name]


def test_another_exporter_makes_another_file(tiny, tmp_path, monkeypatch):
    """A mistake mended in the exporter reaches engines that were exported before."""
    from streamseg.jobs import obtain

    before = obtain._path_in_cache(tiny, "ab" * 32, tmp_path)
    assert obtain._path_in_cache(tiny, "ab" * 32, tmp_path) == before
    monkeypatch.setattr(obtain, "export_revision", lambda: "0.1.0-mended")
    assert obtain._path_in_cache(tiny, "ab" * 32, tmp_path) != before
