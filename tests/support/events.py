"""What TensorBoard's own reader finds in a folder of events."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def read_events(folder: Path) -> tuple[dict[int, float], dict[int, np.ndarray]]:
    """Numbers and pictures by step that TensorBoard's own reader finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    pictures = {
        event.step: np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        for event in found.Images("splineviz/slice")
    }
    return {event.step: event.value for event in found.Scalars("splineviz/regions")}, pictures
