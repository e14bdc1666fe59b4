"""The explorer as a Jupyter widget: the front end of `pages`, with a kernel behind it.

    view = sv.explore("out/")        shown by a notebook
    view.step = 1000                 a checkpoint's step; the slider follows, and the other way round
    view.camera = [u, v, half]       middle of the view in plane coordinates, half its shorter side
    view.fill = "class"              of `pages.FILLS`
    view.selected                    a pandas.DataFrame of the regions in the box (shift + drag) or the one clicked

A step's data crosses to the browser when it is first shown. This room alone knows anywidget and traitlets.
"""

from __future__ import annotations

from typing import Any

import anywidget
import numpy as np
import traitlets

from splineviz import export, pages
from splineviz.errors import DataError, SplinevizError
from splineviz.partition import Partition


class Explorer(anywidget.AnyWidget):
    """A view of a source. Made by `splineviz.explore`; traits: step, camera, fill, selected_ids."""

    _esm = traitlets.Unicode(pages.script()).tag(sync=True)
    _css = traitlets.Unicode(pages.style()).tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    camera = traitlets.List(traitlets.Float(), maxlen=3).tag(sync=True)
    fill = traitlets.Unicode("slope").tag(sync=True)
    selected_ids = traitlets.List(traitlets.Int()).tag(sync=True)

    @classmethod
    def on(cls, source: pages.Source, *, fill: str = "slope", outputs: bool | None = None) -> Explorer:
        """A widget on a source; fill, outputs: as `splineviz.explore` takes them."""
        view = cls(meta=pages.describe(source, fill=fill), fill=fill, step=source.steps[-1])
        view._source = source
        view._outputs = pages.take_outputs(source) if outputs is None else outputs
        view.on_msg(view._answer)
        return view

    @traitlets.validate("step")
    def _known_step(self, proposal: Any) -> int:
        steps = self.meta.get("steps", [])
        if proposal["value"] not in steps:
            raise DataError(f"step: expected one of {', '.join(map(str, steps))}, got {proposal['value']}.")
        return int(proposal["value"])

    @traitlets.validate("fill")
    def _known_fill(self, proposal: Any) -> str:
        if proposal["value"] not in pages.FILLS:
            raise DataError(f"fill: expected one of {', '.join(pages.FILLS)}, got {proposal['value']!r}.")
        return str(proposal["value"])

    @traitlets.observe("step")
    def _forget_selection(self, change: Any) -> None:
        self.selected_ids = []  # the regions of another step have other numbers

    @property
    def partition(self) -> Partition:
        """The partition of the step that is shown."""
        found: Partition = self._source.read(self._source.steps.index(self.step))
        return found

    @property
    def selected(self) -> Any:
        """The selected regions as a pandas.DataFrame with the columns of `export.region_table`."""
        import pandas

        ids = np.array(self.selected_ids, dtype=np.int64)
        return pandas.DataFrame({name: values[ids] for name, values in export.region_table(self.partition).items()})

    def _answer(self, widget: Any, message: Any, buffers: Any) -> None:
        """Send a step that the browser asks for."""
        if not isinstance(message, dict) or message.get("kind") != "step":
            return
        index = message.get("index")
        if not isinstance(index, int) or not 0 <= index < len(self._source.steps):
            return
        try:
            content = pages.pack_step(self._source.read(index), outputs=self._outputs)
        except (SplinevizError, OSError) as error:
            self.send({"kind": "step", "index": index, "error": str(error)})
        else:
            self.send({"kind": "step", "index": index}, [content])
