"""The ids that published weights mean."""

from streamseg.models.coco_classes import COCO_CLASSES


def test_eighty_names_where_published_weights_have_them():
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert [COCO_CLASSES[k] for k in (0, 2, 15, 16, 56, 79)] == [
        "person",
        "car",
        "cat",
        "dog",
        "chair",
        "toothbrush",
    ]
