"""Drawing on a copy of a frame: `painter.Painter` is what the pipeline uses."""
