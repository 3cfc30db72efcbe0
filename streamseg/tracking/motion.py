"""Constant-velocity motion of boxes: four independent Kalman filters per track, in closed form.

A box is followed as centre x, centre y, width and height, each by a filter of [position, velocity]
driven by white acceleration (Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking
and Navigation", 2001, §6.2.2), with noise in proportion to the box's height (Wojke, Bewley, Paulus,
"Simple online and realtime tracking with a deep association metric", 2017). Two by two covariances
need no matrix algebra, so that all tracks move in a dozen array operations.

A state is (T, 5, 4) float64: rows position, velocity, and the covariance's three entries; columns
cx, cy, w, h. Pixels and pixels per second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["STATE_SHAPE", "boxes_of", "correct", "displacement", "initiate", "measure", "predict"]

Floats = NDArray[np.float64]

STATE_SHAPE = (5, 4)
_POSITION, _VELOCITY, _PP, _PV, _VV = range(5)
_WIDTH, _HEIGHT = 2, 3

MEASUREMENT_STD = 1 / 20
"""Of a detected coordinate, in box heights."""
VELOCITY_STD = 1 / 160
"""Gained by the velocity in one nominal step, in box heights per step."""
INITIAL_VELOCITY_STD = 10 / 160
"""Of a new track's velocity, in box heights per nominal step."""
MIN_SIDE = 1.0
"""Pixels; a predicted side never falls below, and noise never below that of such a box."""


def measure(xyxy: NDArray[np.floating]) -> Floats:
    """(N, 4) cx, cy, w, h of (N, 4) boxes x1 y1 x2 y2, float64."""
    low, high = xyxy[:, :2].astype(np.float64), xyxy[:, 2:].astype(np.float64)
    return np.concatenate(((low + high) / 2, high - low), axis=1)


def boxes_of(state: Floats) -> Floats:
    """(T, 4) boxes x1 y1 x2 y2 at the states' positions."""
    position = state[:, _POSITION]
    half = np.maximum(position[:, 2:], MIN_SIDE) / 2
    return np.concatenate((position[:, :2] - half, position[:, :2] + half), axis=1)


def displacement(state: Floats, seconds: Floats) -> Floats:
    """(T, 2) pixels that the centres moved, by the model, in the last `seconds` (T,)."""
    moved: Floats = state[:, _VELOCITY, :2] * seconds[:, None]
    return moved


def initiate(measured: Floats, nominal_seconds: float) -> Floats:
    """(N, 5, 4) states of tracks born at `measured` (N, 4), at rest with an open mind about the velocity."""
    state = np.zeros((len(measured), *STATE_SHAPE))
    height = np.maximum(measured[:, _HEIGHT, None], MIN_SIDE)
    state[:, _POSITION] = measured
    state[:, _PP] = (MEASUREMENT_STD * height) ** 2
    state[:, _VV] = (INITIAL_VELOCITY_STD * height / nominal_seconds) ** 2
    return state


def predict(state: Floats, seconds: float, nominal_seconds: float) -> None:
    """Move every state forward by `seconds`, in place.

    The noise grows continuously with the time that passed: two short steps add up to one long step,
    and no time adds nothing.
    """
    dt = seconds
    # Tracks last: rows of 50 numbers take half the time of 50 rows of four.
    by_row = state.transpose(1, 2, 0).copy()
    position, velocity, pp, pv, vv = by_row
    density = np.maximum(position[_HEIGHT], MIN_SIDE)
    density *= density
    density *= (VELOCITY_STD / nominal_seconds) ** 2 / nominal_seconds
    gained = dt * vv
    position += dt * velocity
    pp += dt * (2 * pv + gained) + density * (dt**3 / 3)
    gained += density * (dt**2 / 2)
    pv += gained
    vv += density * dt
    sides = position[_WIDTH:]
    np.maximum(sides, MIN_SIDE, out=sides)
    state[...] = by_row.transpose(2, 0, 1)


def correct(state: Floats, measured: Floats) -> Floats:
    """(T, 5, 4) states after seeing `measured` (T, 4)."""
    by_row = state.transpose(1, 2, 0).copy()
    position, velocity, pp, pv, vv = by_row
    noise = MEASUREMENT_STD * np.maximum(position[_HEIGHT], MIN_SIDE)
    total = pp + noise * noise
    gain, velocity_gain = pp / total, pv / total
    surprise = measured.T - position
    position += gain * surprise
    velocity += velocity_gain * surprise
    vv -= velocity_gain * pv
    pp -= gain * pp
    pv -= gain * pv
    return by_row.transpose(2, 0, 1)
