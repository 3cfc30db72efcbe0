"""PicoDet with masks: a small one-stage detector, and YOLACT's prototypes on its features."""
