"""Lasting identities for the instances of a stream."""

from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.tracker import LostTracks, Tracker

__all__ = ["LostTracks", "Tracker", "TrackerConfig"]
