"""The page in a real Chromium: pictures, masks on them, what is chosen, what is added and removed."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from .browser import Browser
from .conftest import SCENE, runs

PIXEL = "[...document.querySelector('canvas').getContext('2d').getImageData(96, 72, 1, 1).data]"
# How much the column at the upper edge of the zone changes with it, within one picture.
ZONES_DIFFER = """(() => {
  const column = () => document.querySelector("canvas").getContext("2d").getImageData(96, 9, 1, 11).data;
  const [box, on] = [document.getElementById("zones"), column()];
  box.click();
  const off = column();
  box.click();
  return Math.max(...on.map((value, k) => Math.abs(value - off[k])));
})()"""
SKETCH = "document.querySelector('.sketch')"
NAMED = f"{SKETCH}.querySelector('input').value = '{{}}', {SKETCH}.requestSubmit()"


@pytest.fixture(scope="module")
def seen(free_port_of_module):
    """A page with a source that delivers and one that is off."""
    sources = [SCENE.format(1, 1_000_000), f"rtsp://u:hidden@127.0.0.1:{free_port_of_module}/off"]
    with runs() as start, Browser() as browser:
        run = start(sources=sources)
        browser.open(run.address)
        browser.until("document.querySelectorAll('.card').length === 2")
        browser.until("document.querySelectorAll('.found li').length === 1")
        yield browser, run


@pytest.fixture(scope="module")
def free_port_of_module():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_a_picture_is_drawn_and_the_masks_on_it_are_the_viewers_choice(seen):
    browser, _ = seen
    assert browser.run("document.querySelector('canvas').width") == 192
    with_mask = browser.run(f"document.getElementById('masks').checked && {PIXEL}")
    browser.run("document.getElementById('labels').click(), document.getElementById('masks').click()")
    without = browser.run(PIXEL)
    assert np.abs(np.subtract(with_mask, without)).max() > 20
    browser.run("document.getElementById('labels').click(), document.getElementById('masks').click()")
    assert browser.said == []


@pytest.mark.slow
def test_a_source_that_is_off_says_why_and_shows_no_secret(seen):
    browser, _ = seen
    text = browser.until(
        "(t => t.includes('connection refused') && t)(document.querySelectorAll('.card')[1].innerText)"
    )
    assert "connecting" in text
    assert "no picture yet" in text
    assert "u:***@" in text
    assert "hidden" not in browser.run("document.documentElement.innerText")


@pytest.mark.slow
def test_an_object_is_chosen_in_the_picture_and_in_the_list(seen):
    browser, _ = seen
    pressed = "document.querySelector('.found button').getAttribute('aria-pressed')"
    click(browser, 0.5, 0.5)
    browser.until(f"{pressed} === 'true'")
    browser.run("document.querySelector('.found button').click()")
    browser.until(f"{pressed} === 'false'")


def click(browser, across, down):
    """In the first picture, at these shares of its width and height."""
    edge = "document.querySelector('canvas').getBoundingClientRect()"
    x, y = browser.run(f"(r => [r.x + r.width * {across}, r.y + r.height * {down}])({edge})")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@pytest.mark.slow
def test_a_zone_is_drawn_with_the_mouse_becomes_a_rule_and_its_events_are_listed(seen):
    browser, run = seen
    browser.run("window.confirm = () => true")
    browser.run("document.querySelector('.sketching').click()")
    for across, down in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.9)):
        click(browser, across, down)
    browser.run("document.querySelector('.sketch .undo').click()")
    click(browser, 0.1, 0.9)
    browser.run(NAMED.format("-"))
    browser.until("document.querySelector('.sketch p').textContent.includes('a rule\\'s name is')")
    browser.run(NAMED.format("the yard"))
    browser.until("document.querySelector('.sketch').hidden")
    rule = run.ask("GET", "/api/rules").json()["zones"]["the yard"]
    assert rule["sources"] == ["synthetic-1"]
    corners = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
    assert np.abs(np.subtract(rule["polygon"], corners)).max() < 0.01
    told = browser.until(
        "(list => list.length && list[0].innerText)(document.querySelectorAll('#events li'))"
    )
    assert "the yard shape 1 entered · synthetic-1" in told
    browser.until(f"({ZONES_DIFFER}) > 40")
    browser.run("document.querySelector('#rules button').click()")
    browser.until("document.querySelectorAll('#rules li').length === 0")
    assert run.status()["rules"] == {}
    browser.until("document.querySelector('#events li').innerText.includes('the yard shape 1 left')")
    assert [said for said in browser.said if "422" not in said] == []
    browser.said.clear()


@pytest.mark.slow
def test_axe_finds_no_serious_fault(seen):
    browser, _ = seen
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None
    assert found.origin is not None
    browser.run(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    browser.run("document.querySelector('.sketching').click()")
    for scheme in ("light", "dark"):
        scheme_is = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=scheme_is)
        faults = browser.run("axe.run().then((all) => all.violations.map((one) => [one.impact, one.id]))")
        assert [fault for fault in faults if fault[0] in ("serious", "critical")] == []
    browser.run("document.querySelector('.sketching').click()")


@pytest.mark.slow
def test_sources_are_added_and_removed_and_nothing_is_wider_than_a_narrow_window(seen):
    browser, run = seen
    browser.run("window.confirm = () => true")
    browser.run(
        f"document.getElementById('spec').value = {json.dumps(SCENE.format(3, 9))};"
        "document.querySelector('#add button').click()"
    )
    browser.until("document.querySelectorAll('.card').length === 3")
    browser.resize(390, 844)
    assert browser.run("document.documentElement.scrollWidth") == 390
    browser.resize(1280, 900)
    browser.run("document.querySelectorAll('.remove')[2].click()")
    browser.until("document.querySelectorAll('.card').length === 2")
    assert len(run.status()["sources"]) == 2
    browser.run("document.getElementById('spec').value = 'file:///etc/passwd'; add.requestSubmit()")
    browser.until("document.getElementById('added').textContent.includes('files may be added from')")
    assert [said for said in browser.said if "422" not in said] == []


@pytest.mark.slow
def test_masks_are_read_as_coco_writes_them(seen):
    browser, _ = seen
    rng = np.random.default_rng(3)
    masks = [rng.random((37, 53)) < share for share in (0.0, 0.001, 0.3, 0.97, 1.0)]
    masks.append(np.zeros((37, 53), bool))
    masks[-1][5:30, 10:40] = True
    rles = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    given = json.dumps([{"size": rle["size"], "counts": rle["counts"].decode()} for rle in rles])
    regions = browser.run(
        f"import('/page/masks.js').then(({{ bitsOf }}) => {given}.map(bitsOf)"
        ".map((one) => one && {...one, bits: [...one.bits]}))"
    )
    for mask, region in zip(masks, regions, strict=True):
        whole = np.zeros(mask.shape, bool)
        if region:
            bits = np.array(region["bits"], bool).reshape(region["height"], region["width"])
            y, x = region["y0"], region["x0"]
            whole[y : y + region["height"], x : x + region["width"]] = bits
        np.testing.assert_array_equal(whole, mask)
