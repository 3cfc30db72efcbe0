"""The report of a record as one HTML file that needs nothing else. Tested in tests/jobs/test_report.py.

Whatever a name holds is text in it: everything is escaped, there is no script, and the page forbids any.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from streamseg.records.header import Take
from streamseg.records.tally import Stay, TakeTally

__all__ = ["TakeView", "longest_stays", "report_page"]

MOST_BINS = 120
MOST_CURVES = 6
MOST_STAYS_SHOWN = 12
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 220, 44, 24
_GREY = "#888888"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:820px;padding:0 1rem}
body{color:#1c2430;background:#fff}h1{font-size:1.6rem;margin:0}
h2{font-size:1.2rem;margin:2.4rem 0 .2rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
p.about,td.about,figcaption{color:#5b6675;font-size:.88rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid #e4e8ee}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:#5b6675;font-size:.85rem}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;vertical-align:-.05em}
figure{margin:0}img.heat{width:100%;display:block;border-radius:6px}svg{width:100%;height:auto;display:block}
.stays{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:.8rem}
.stays img{width:100%;height:110px;object-fit:contain;background:#11161d;border-radius:6px}
.note{background:#fff6df;border-left:4px solid #e0a100;padding:.5rem .8rem;border-radius:4px}
"""


@dataclass(frozen=True, slots=True, eq=False)
class TakeView:
    """One take, ready to be shown."""

    take: Take
    tally: TakeTally
    began: str
    """When its first frame was captured, UTC."""
    heat_jpeg: bytes
    pictures: dict[int, bytes]
    """JPEGs of tracks, by id; empty without the clip."""
    notes: tuple[str, ...]


def report_page(name: str, views: Sequence[TakeView]) -> str:
    """The whole page."""
    body = "".join(_section(view) for view in views)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(name)}</h1>{_overview(views)}{body}</body></html>\n"
    )


def _overview(views: Sequence[TakeView]) -> str:
    rows = "".join(
        f"<tr><td>{escape(v.take.name)}</td><td>{escape(v.began)}</td><td>{_clock(_seconds(v))}</td>"
        f"<td>{v.tally.frames}</td><td>{len(v.tally.stays)}</td></tr>"
        for v in views
    )
    titles = ("source", "first frame (UTC)", "length", "frames", "objects")
    return f"<table><tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>{rows}</table>"


def _section(view: TakeView) -> str:
    take = view.take
    header = take.header
    engine = f"{header.engine or 'unknown engine'}, SHA-256 {header.engine_sha256[:16] or '–'}"
    about = f"{take.spec or take.source_id} · {engine} · certificate {header.certificate or 'none'}"
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in view.notes)
    return (
        f'<h2>{escape(take.name)}</h2><p class="about">{escape(about)}</p>{notes}'
        f"<h3>How many at once</h3>{_curves(view)}"
        f'<h3>Where</h3><figure><img class="heat" alt="heat map" src="{_data(view.heat_jpeg)}">'
        "<figcaption>How long masks covered each place, from blue to red.</figcaption></figure>"
        f"<h3>For how long</h3>{_dwell(view)}{_stays(view)}"
    )


def _curves(view: TakeView) -> str:
    edges, counts = view.tally.over_time(MOST_BINS)
    total = np.nansum(counts, axis=0)
    shown = [k for k in np.argsort(-total, kind="stable")[:MOST_CURVES].tolist() if total[k] > 0]
    if not shown:
        return '<p class="about">Nothing was seen.</p>'
    top = max(1.0, float(np.nanmax(counts[:, shown])))
    span = max(float(edges[-1] - edges[0]), 1.0)

    def place(seconds: float, value: float) -> str:
        x = _LEFT + (seconds - edges[0]) / span * (_WIDTH - _LEFT - 8)
        return f"{x:.1f},{_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - 10):.1f}"

    lines = []
    for share in (0.0, 0.5, 1.0):
        x, y = place(float(edges[0]), share * top).split(",")
        lines.append(f'<line x1="{x}" y1="{y}" x2="{_WIDTH - 8}" y2="{y}" stroke="#e4e8ee"/>')
        lines.append(_text(_LEFT - 6, float(y) + 4, f"{share * top:.3g}", "end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        seconds = float(edges[0]) + share * span
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        lines.append(_text(float(place(seconds, 0).split(",")[0]), _HEIGHT - 6, _clock(seconds), anchor))
    for kind in shown:
        lines.extend(_curve(edges, counts[:, kind], place, _colour(view.take, kind)))
    names = view.take.header.classes
    key = " ".join(f"{_key(view.take, k)}{escape(names[k])}&ensp;" for k in shown)
    chart = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(lines)}</svg>'
    return f"<figure>{chart}<figcaption>{key}by media time, mean of each bin</figcaption></figure>"


def _curve(
    edges: NDArray[np.float64],
    values: NDArray[np.float64],
    place: Callable[[float, float], str],
    colour: str,
) -> list[str]:
    """Steps, broken where there was no frame."""
    made: list[str] = []
    points: list[str] = []
    for k, value in enumerate([*values.tolist(), float("nan")]):
        if value == value:
            points += [place(edges[k], value), place(edges[k + 1], value)]
        elif points:
            made.append(
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            points = []
    return made


def _text(x: float, y: float, text: str, anchor: str) -> str:
    style = f'font-size="11" fill="#5b6675" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _key(take: Take, class_id: int) -> str:
    return f'<span class="key" style="background:{_colour(take, class_id)}"></span>'


def _dwell(view: TakeView) -> str:
    by_class: dict[int, list[float]] = {}
    for stay in view.tally.stays.values():
        by_class.setdefault(stay.class_id, []).append(stay.seconds)
    names = view.take.header.classes
    rows = "".join(
        f"<tr><td>{_key(view.take, kind)}{escape(names[kind])}</td><td>{len(seconds)}</td>"
        f"<td>{np.median(seconds):.1f} s</td><td>{np.quantile(seconds, 0.9):.1f} s</td>"
        f"<td>{max(seconds):.1f} s</td></tr>"
        for kind, seconds in sorted(by_class.items(), key=lambda item: -len(item[1]))
    )
    head = "<tr><th>class</th><th>objects</th><th>median</th><th>90 %</th><th>longest</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else '<p class="about">No object was followed.</p>'


def longest_stays(tally: TakeTally) -> list[Stay]:
    """Those that the page shows one by one."""
    return sorted(tally.stays.values(), key=lambda stay: (-stay.seconds, stay.track))[:MOST_STAYS_SHOWN]


def _stays(view: TakeView) -> str:
    names = view.take.header.classes
    made = []
    for stay in longest_stays(view.tally):
        jpeg = view.pictures.get(stay.track)
        picture = f'<img alt="" src="{_data(jpeg)}">' if jpeg else ""
        what = f"{escape(names[stay.class_id])} #{stay.track}"
        when = f"{_clock(stay.first)} – {_clock(stay.last)}"
        made.append(f"<figure>{picture}<figcaption>{what}<br>{when}</figcaption></figure>")
    return f'<h3>The longest</h3><div class="stays">{"".join(made)}</div>' if made else ""


def _seconds(view: TakeView) -> float:
    return max(view.tally.last - view.tally.first, 0.0) if view.tally.frames else 0.0


def _colour(take: Take, class_id: int) -> str:
    """As the overlay draws a class; the text is a file's, and goes into the page as it is."""
    colours = take.header.colours
    colour = colours[class_id % len(colours)] if colours else _GREY
    return colour if re.fullmatch("#[0-9a-f]{6}", colour) else _GREY


def _clock(seconds: float) -> str:
    hours, rest = divmod(max(seconds, 0.0), 3600)
    minutes, left = divmod(rest, 60)
    return f"{int(hours)}:{int(minutes):02d}:{int(left):02d}" if hours else f"{int(minutes)}:{left:04.1f}"


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
