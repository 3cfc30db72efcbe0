"""What is asked of an engine build. Tested in tests/engines/test_fingerprint.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamseg.engine_contract import Precision
from streamseg.errors import ConfigError

__all__ = ["BuildOptions"]

MAX_BATCH = 64
"""What the exporter allows for in the graph."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a network becomes an engine. The same options give the same engine on the same machine."""

    precision: Precision = "fp16"
    """`mixed`: backbone and prototypes in INT8, pyramid and heads in FP16."""
    batch: tuple[int, int, int] = (1, 1, 8)
    """Least, usual and largest batch; tactics are chosen for the usual one."""
    calibrate: str = ""
    """File, folder or stream whose frames give INT8 its ranges; needed for `int8` and `mixed`."""
    frames: int = 500
    """How many of its frames are used."""
    workspace_gib: float = 4.0
    """Most memory that a tactic may take, GiB."""
    portable: Literal["no", "same_compute_capability", "ampere_plus"] = "no"
    """Which other GPUs may run the engine: none, those of its compute capability, or all from 8.0 on."""

    @property
    def needs_calibration(self) -> bool:
        """Whether the network must be quantised first."""
        return self.precision in ("int8", "mixed")

    def check(self) -> None:
        """Raise ConfigError, naming the option, for values that no build can use."""
        least, usual, most = self.batch
        if not 1 <= least <= usual <= most <= MAX_BATCH:
            text = ":".join(map(str, self.batch))
            raise ConfigError(f"batch {text}: MIN:OPT:MAX must rise, from 1 to {MAX_BATCH}")
        if not 0 < self.workspace_gib <= 1024:
            raise ConfigError(f"workspace {self.workspace_gib:g}: GiB, above 0")
        if self.needs_calibration and not self.calibrate:
            raise ConfigError(
                f"precision {self.precision}: needs --calibrate CLIP, pictures like those it will see"
            )
        if not self.needs_calibration and self.calibrate:
            raise ConfigError(f"calibrate: only int8 and mixed are calibrated, this is {self.precision}")

    def arguments(self) -> list[str]:
        """The options as arguments of `streamseg build`, defaults left out."""
        mine, default = self._texts(), BuildOptions()._texts()
        return [word for flag in mine if mine[flag] != default[flag] for word in (flag, mine[flag])]

    def _texts(self) -> dict[str, str]:
        return {
            "--precision": self.precision,
            "--batch": ":".join(map(str, self.batch)),
            "--calibrate": self.calibrate,
            "--frames": str(self.frames),
            "--workspace": f"{self.workspace_gib:g}",
            "--portable": self.portable,
        }
