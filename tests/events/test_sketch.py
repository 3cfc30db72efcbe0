from streamseg.events.sketch import Sketch
from streamseg.streaming.config import load_config

CORNERS = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9)]


def drawn(*points):
    sketch = Sketch()
    for point in points:
        sketch.add(*point)
    return sketch


def test_what_is_drawn_is_a_configuration(tmp_path):
    sketch = drawn(*CORNERS)
    assert sketch.finish("zones")
    sketch.add(0.5, 0.0)
    sketch.add(0.51234, 1.7)
    assert sketch.finish("lines")
    path = tmp_path / "zones.yaml"
    path.write_text(sketch.yaml())
    rules = load_config(str(path)).events
    assert rules.zones["zone 1"].polygon == tuple(CORNERS)
    assert rules.lines["line 1"].points == ((0.5, 0.0), (0.512, 1.0))


def test_what_cannot_be_is_refused_and_stays_to_be_mended():
    sketch = drawn((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9))
    assert not sketch.finish("zones")
    assert "cross each other" in sketch.complaint
    assert len(sketch.points) == 4
    sketch.undo()
    assert sketch.finish("zones")
    assert sketch.complaint == ""


def test_a_shape_can_be_taken_back():
    sketch = drawn(*CORNERS)
    sketch.finish("zones")
    sketch.undo()
    assert (sketch.shapes, sketch.points) == ([], CORNERS)
    for _ in range(5):
        sketch.undo()
    assert sketch.points == []


def test_a_click_twice_is_one_point():
    assert drawn((0.5, 0.5), (0.5, 0.5)).points == [(0.5, 0.5)]
