"""The page for browsers without JavaScript. Tested in tests/serving/test_api.py."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from streamseg.serving.contract import RunStatus, SourceStatus

__all__ = ["plain_page"]


def plain_page(status: RunStatus) -> str:
    """Every source as a moving picture with the overlay painted by the server."""
    cards = "\n".join(map(_card, status.sources)) or "<p>There is no source yet.</p>"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>streamseg</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/page/style.css">
<header class="top"><h1>streamseg</h1><p>{escape(status.engine)} on {escape(status.runtime)}</p></header>
<main class="grid">{cards}</main></html>"""


def _card(source: SourceStatus) -> str:
    name = escape(source.id)
    why = f": {escape(source.detail)}" if source.detail else ""
    return (
        f'<article class="card"><h2>{name}</h2><p>{escape(source.state)}{why}</p>'
        f'<img class="moving" alt="live picture of {name}" '
        f'src="/api/sources/{quote(source.id, safe="")}/stream.mjpg?painted"></article>'
    )
