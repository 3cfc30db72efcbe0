"""The main job put together: configured sources, engine, tracker, overlay and sinks as one pipeline."""
