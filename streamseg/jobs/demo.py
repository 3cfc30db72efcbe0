"""The demonstration: the main job on a source of your own or on the scored synthetic scene.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

from pathlib import Path

from streamseg.capture.synthetic_source import parse_synthetic
from streamseg.errors import SinkError
from streamseg.evaluation.scene_score import SceneScore
from streamseg.jobs.run import build
from streamseg.scene import SyntheticScene
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.structures import Result

__all__ = ["Demonstration", "prepare"]

SCENE_FRAMES = 300
OUTPUTS = {"video": "mp4", "jsonl": "jsonl", "summary": "json"}


class ScoreSink:
    """Compares each result of the synthetic scene with the scene's own truth."""

    needs_canvas = False

    def __init__(self, scene: SyntheticScene) -> None:
        self.score = SceneScore()
        self._scene = scene

    def write(self, result: Result) -> None:
        _, truth = self._scene.frame(result.frame.index)
        self.score.add(result, truth)

    def close(self) -> None: ...


class Demonstration:
    """A prepared job and, after it has run, what to say about it."""

    def __init__(self, job: Job, folder: Path, score: ScoreSink | None) -> None:
        self.job = job
        self._folder = folder
        self._score = score

    def report(self) -> list[str]:
        """Lines for the terminal: where the outputs are, how masks and ids score."""
        lines = [
            f"annotated video   {self._folder / 'demo.mp4'}",
            f"data              {self._folder / 'demo.jsonl'}",
            f"summary           {self._folder / 'demo.json'}",
        ]
        if self._score:
            s = self._score.score.summary()
            lines += [
                f"masks             mean IoU {s['mean_iou']:.3f} of the matched, recall {s['recall']:.3f}, "
                f"precision {s['precision']:.3f} at IoU 0.5, over {s['frames']:.0f} frames",
                f"ids               {s['objects']:.0f} objects followed, "
                f"{s['id_switches']:.0f} identity switches",
            ]
        return lines


def prepare(source: str, out: str, frames: int | None) -> Demonstration:
    """Connect the main job on `source`, its outputs in the folder `out` (made when it is missing)."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{out}: cannot make the folder: {error.strerror}") from error
    is_scene = source.split(":")[0].split("?")[0] == "synthetic"
    config = load_config(
        None,
        {
            "sources": [source],
            # The bundled engine for photographs has no name for what the scene is made of.
            **({"engine": {"path": "shapes"}} if is_scene else {}),
            "max_frames": frames or (SCENE_FRAMES if is_scene else None),
            "output": {key: str(folder / f"demo.{end}") for key, end in OUTPUTS.items()},
        },
    )
    score = ScoreSink(parse_synthetic(source).scene()) if is_scene else None
    return Demonstration(build(config, [score] if score else []), folder, score)
