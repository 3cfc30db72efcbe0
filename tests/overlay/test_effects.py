"""Effects on a grey frame with two squares, 8×8 cells of which are objects."""

import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.overlay.effect_spec import parse_effect
from streamseg.overlay.effects import Effects, check_value
from streamseg.structures import Frame

HW = 160, 240
NAMES = ("person", "car", "dog")
BOXES = [[40.0, 40, 80, 80], [160, 40, 200, 80]]  # a person and a car
IN_PERSON, IN_CAR, OUTSIDE = (60, 60), (60, 180), (140, 120)


@pytest.fixture
def shown(make_instances, make_tracks):
    """The picture of one frame; frames of one `Effects` follow each other."""

    def show(effects, image, boxes=BOXES, t=0.0):
        instances = make_instances(HW, boxes)
        return effects.draw(Frame(image, 0, t, 0, "cam"), instances, make_tracks(instances), NAMES)

    return show


@pytest.fixture
def image():
    picture = np.random.default_rng(0).integers(60, 200, (*HW, 3)).astype(np.uint8)
    return picture


def effects(*texts):
    return Effects([parse_effect(text) for text in texts])


def same(a, b, where):
    return (a[where][:3] == b[where][:3]).all()


def test_highlight_keeps_the_object_and_darkens_the_rest(shown, image):
    made = shown(effects("highlight:person"), image)
    assert same(made, image, IN_PERSON)
    for where in (IN_CAR, OUTSIDE):
        assert made[where].max() <= 0.35 * 200 + 1
        assert np.ptp(made[where]) == 0  # grey


def test_blur_keeps_the_object_sharp(shown, image):
    made = shown(effects("blur:#2"), image)
    assert same(made, image, IN_CAR)
    assert made[100:150, 20:220].std() < 0.3 * image[100:150, 20:220].std()


def test_the_background_is_a_colour_or_a_picture(shown, image, tmp_path):
    made = shown(effects("replace=#00b140"), image)
    assert made[OUTSIDE].tolist() == [0x40, 0xB1, 0x00]
    assert same(made, image, IN_CAR)
    beach = tmp_path / "beach.png"
    cv2.imwrite(str(beach), np.full((50, 50, 3), (1, 2, 3), np.uint8))
    assert shown(effects(f"replace={beach}"), image)[OUTSIDE].tolist() == [1, 2, 3]


def test_what_is_removed_shows_the_background_learned_when_it_was_elsewhere(shown):
    """The object stands on bright ground later; it was learned before, and never where the object is."""
    ground = np.full((*HW, 3), 120, np.uint8)
    ground[:, :120] = 30
    made = effects("remove:person")
    for k in range(20):
        x = 16 + 8 * (k if k < 10 else 9)
        painted = ground.copy()
        painted[40:80, x : x + 40] = 255
        out = shown(made, painted, [[x, 40, x + 40, 80]], k / 25)
    assert painted[60, x + 20].max() == 255
    assert np.abs(out[45:75, x + 5 : x + 35].astype(int) - ground[45:75, x + 5 : x + 35]).max() <= 25
    # For a second the object stands still: it is not learned.
    for k in range(25):
        out = shown(made, painted, [[x, 40, x + 40, 80]], 1 + k / 25)
    assert out[45:75, x + 5 : x + 35].max() <= 145


def test_a_cut_out_has_alpha(shown, image):
    made = shown(effects("cutout:car"), image)
    assert made.shape == (*HW, 4)
    assert (made[IN_CAR][3], made[IN_PERSON][3], made[OUTSIDE][3]) == (255, 0, 0)
    assert (made[..., :3] == image).all()


def test_heat_is_where_objects_were_for_long(shown):
    grey, made = np.full((*HW, 3), 100, np.uint8), effects("heat")
    for k in range(10):
        out = shown(made, grey, [BOXES[0]] if k else [BOXES[1]], float(k))
    assert out[OUTSIDE].tolist() == [100, 100, 100]
    blue, _, red = out[IN_PERSON].tolist()
    assert red > blue


def test_trails_follow_the_centre(shown):
    grey, made = np.full((*HW, 3), 100, np.uint8), effects("trails")
    for k in range(10):
        x = 16 + 8 * k
        out = shown(made, grey, [[x, 40, x + 40, 80]], k / 10)
    assert (out[60, 50:100] != 100).any(axis=1).all()
    assert (out[100:] == 100).all()


def test_effects_are_applied_in_order(shown, image):
    made = shown(effects("blur:person", "highlight:person", "cutout:person"), image)
    assert made.shape[2] == 4
    assert same(made, image, IN_PERSON)
    assert made[OUTSIDE][:3].max() <= 71


def test_nobody_is_left_alone(shown, image):
    for text in ("highlight", "blur", "remove", "heat", "trails", "cutout"):
        assert shown(effects(text), image, []).shape[:2] == HW


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("blurr", "no such effect did you mean 'blur'"),
        ("replace", "=a picture or a colour"),
        ("blur=3", "and no value"),
        ("blur:", "empty name"),
    ],
)
def test_mistakes_are_one_line(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_effect(text)


def test_a_background_that_is_no_picture(tmp_path):
    with pytest.raises(ConfigError, match="not a picture"):
        check_value(parse_effect(f"replace={tmp_path / 'none.png'}"))
