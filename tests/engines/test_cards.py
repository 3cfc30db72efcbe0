"""The card of a bundled engine, found by name and by nothing else."""

import json
from pathlib import Path

import pytest

import streamseg
from streamseg.engines.cards import bundled_card


def test_the_card_of_the_bundled_engine_is_the_one_in_the_package():
    written = Path(streamseg.__file__).parent / "bundled" / "compact.json"
    assert bundled_card("compact") == json.loads(written.read_text())


@pytest.mark.parametrize("name", ["other", "", "../bundled/compact", "/etc/hosts", "compact.json"])
def test_no_other_name_has_one(name):
    assert bundled_card(name) is None
