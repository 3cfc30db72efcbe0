"""A tracker's state as plain values, which JSON keeps exactly, and back."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamseg.masks import Crop
from streamseg.tracking.clock import StepClock
from streamseg.tracking.detections import KeptOutline, Outline
from streamseg.tracking.motion import STATE_SHAPE
from streamseg.tracking.tracks import COLUMNS, TrackTable

__all__ = ["plain_clock", "plain_table", "restore_clock", "restore_table"]


def plain_clock(clock: StepClock) -> dict[str, Any]:
    """Times of a clock; None for none yet."""
    times = {"now": clock.now, "previous": clock.previous}
    plain: dict[str, Any] = {name: t if math.isfinite(t) else None for name, t in times.items()}
    return plain | {"recent": list(clock.recent), "nominal": clock.nominal_seconds}


def restore_clock(clock: StepClock, plain: Mapping[str, Any]) -> None:
    """Set `clock` as it was. Raises KeyError, TypeError, ValueError."""
    now, previous = (-math.inf if plain[k] is None else float(plain[k]) for k in ("now", "previous"))
    recent, nominal = [float(step) for step in plain["recent"]], float(plain["nominal"])
    if not previous <= now or not all(0 < step < math.inf for step in [*recent, nominal]):
        raise ValueError("its times run backwards")
    clock.now, clock.previous, clock.nominal_seconds = now, previous, nominal
    clock.recent.clear()
    clock.recent.extend(recent)


def plain_table(table: TrackTable) -> dict[str, Any]:
    """The living tracks, and the next id."""
    columns = {name: table.rows[name].tolist() for name in COLUMNS}
    return {
        "next_id": table.next_id,
        "columns": columns,
        "state": table.state.tolist(),
        "outlines": [None if outline is None else _plain_outline(outline) for outline in table.outlines],
    }


def restore_table(plain: Mapping[str, Any]) -> TrackTable:
    """The table as it was. Raises KeyError, TypeError, ValueError."""
    table, columns = TrackTable(), plain["columns"]
    count = len(columns["id"])
    table.resize(count)
    for name in COLUMNS:
        table.rows[name] = np.asarray(columns[name], table.rows.dtype[name]).reshape(count)
    table.state[:] = np.asarray(plain["state"], np.float64).reshape(count, *STATE_SHAPE)
    table.outlines = [None if entry is None else _outline(entry) for entry in plain["outlines"]]
    table.next_id = int(plain["next_id"])
    if len(table.outlines) != count or not np.isfinite(table.state).all():
        raise ValueError("its tracks are not whole")
    if table.next_id <= max([0, *table.id.tolist()]):
        raise ValueError("its next id is taken")
    return table


def _plain_outline(outline: Outline) -> dict[str, Any]:
    crop = outline.crop
    return {
        "scale_xy": list(outline.scale_xy),
        "origin_xy": [crop.x0, crop.y0],
        "shape": list(crop.bits.shape),
        "bits": base64.b64encode(np.packbits(crop.bits).tobytes()).decode(),
    }


def _outline(plain: Mapping[str, Any]) -> Outline:
    (scale_x, scale_y), (x0, y0), (height, width) = plain["scale_xy"], plain["origin_xy"], plain["shape"]
    packed = np.frombuffer(base64.b64decode(plain["bits"], validate=True), np.uint8)
    if height < 0 or width < 0 or len(packed) != (height * width + 7) // 8:
        raise ValueError("an outline of it is cut off")
    bits = np.unpackbits(packed, count=height * width).reshape(height, width).astype(np.bool_)
    return KeptOutline(Crop(int(x0), int(y0), bits), (float(scale_x), float(scale_y)))
