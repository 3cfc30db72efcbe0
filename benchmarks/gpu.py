"""What engines cost on an NVIDIA GPU: latency, throughput, the part after the network, share of the roofline.

    python benchmarks/gpu.py --out gpu.json            measure and print one JSON
    python benchmarks/gpu.py --table gpu.json          the table of docs/gpu.md from it; needs no GPU

uint8 frames lie on the device, masks are left there, and everything after the network is inside the clock;
`host` figures have both copies and the engine's own bookkeeping in it. Weights are random: every shape is
fixed, so no time depends on what is found. Contenders take turns in rounds, so that a change of clocks meets
all of them. Without a GPU one line says so and the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu_contenders import BATCHES, Contender, contenders, gpu_missing, hardware
from gpu_rounds import Timing, interleaved

MODELS = ("yolact_r50", "yolact_r101", "yolact_plus_r50", "solov2_light_r50")
PRECISIONS = ("fp16",)
ROUNDS, CALLS = 10, 30
COLUMNS = {
    "model": "model",
    "precision": "precision",
    "batch": "batch",
    "contender": "contender",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "frames_per_s": "frames/s",
    "roofline": "of roofline",
    "host_fps": "host frames/s",
}
"""Keys of a row → titles of the table."""


def main() -> None:
    options = parse()
    if options.table is not None:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))))
        return
    if missing := gpu_missing():
        print(f"benchmarks/gpu.py: {missing}; nothing was measured", file=sys.stderr)
        sys.exit(2)
    report = measure(options)
    text = json.dumps(report, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME")
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=("fp32", "fp16", "bf16"))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES), metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--table", type=Path, metavar="FILE.json")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything asked for; a model after the other, so that memory holds one at a time."""
    rows: list[dict[str, Any]] = []
    shares: dict[str, float] = {}
    left_out: list[str] = []
    for model in options.models:
        for precision in options.precisions:
            with tempfile.TemporaryDirectory(prefix="streamseg-gpu-") as folder:
                found = contenders(model, precision, options.batches, Path(folder))
                left_out += found.left_out
                for batch in options.batches:
                    rows += [
                        {"model": model, "precision": precision, "batch": batch, **row}
                        for row in at_batch(found.ready, found.bound_s(batch), batch, options.rounds)
                    ]
                if found.tail is not None:
                    shares[f"{model} {precision}"] = tail_share(*found.tail, options.rounds)
                found.close()
    return {**hardware(), "rows": rows, "share_after_the_network": shares, "left_out": left_out}


def at_batch(ready: list[Contender], bound_s: float | None, batch: int, rounds: int) -> list[dict[str, Any]]:
    """One row for each contender at one batch size."""
    device = interleaved(
        {c.name: c.on_device(batch) for c in ready if c.on_device is not None}, rounds, CALLS
    )
    host = interleaved({c.name: c.on_host(batch) for c in ready}, rounds, CALLS)
    return [row(name, device.get(name), host[name], bound_s, batch) for name in host]


def row(name: str, device: Timing | None, host: Timing, bound_s: float | None, batch: int) -> dict[str, Any]:
    """Figures of one contender; `device` is None for those that only take frames from the host."""
    first = device or host
    return {
        "contender": name,
        "p50_ms": first.latency_ms(0.5),
        "p99_ms": first.latency_ms(0.99),
        "frames_per_s": batch / first.each_s,
        "roofline": bound_s / device.each_s if device and bound_s else None,
        "host_p50_ms": host.latency_ms(0.5),
        "host_fps": batch / host.each_s,
    }


def tail_share(whole: Contender, network: Contender, rounds: int) -> float:
    """The part of a frame's time that is not the network's, at batch 1."""
    assert whole.on_device is not None
    assert network.on_device is not None
    timings = interleaved({"whole": whole.on_device(1), "network": network.on_device(1)}, rounds, CALLS)
    return 1 - timings["network"].each_s / timings["whole"].each_s


def table(report: dict[str, Any]) -> str:
    """The rows as Markdown, and below it the hardware and the share after the network."""
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell(name, row[name]) for name in COLUMNS) + " |" for row in report["rows"]]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in report["share_after_the_network"].items())
    lines += ["", f"{report['gpu']}; {report['versions']}."]
    if shares:
        lines += [f"After the network, in torch at batch 1: {shares}."]
    lines += [f"Left out: {why}." for why in report["left_out"]]
    return "\n".join(lines)


def cell(name: str, value: Any) -> str:
    """A figure as the table shows it."""
    if value is None:
        return "–"
    match name:
        case "roofline":
            return f"{value:.0%}"
        case "p50_ms" | "p99_ms":
            return f"{value:.2f}"
        case "frames_per_s" | "host_fps":
            return f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    main()
