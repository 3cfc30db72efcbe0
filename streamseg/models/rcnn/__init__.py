"""Mask R-CNN, in the forms of torchvision, mmdetection and detectron2."""
