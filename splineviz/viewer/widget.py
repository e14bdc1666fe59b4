"""The explorer as a Jupyter widget: the front end of `page`, with a kernel behind it.

    view = sv.explore("out/")        shown by a notebook
    view.step = 1000                 a checkpoint's step; the slider follows, and the other way round
    view.camera = [u, v, half]       middle of the view in plane coordinates, half its shorter side
    view.fill = "class"              of `pages.FILLS`
    view.selected                    a pandas.DataFrame of the regions in the box or lasso, or the one clicked

    view = sv.explore("out/", run="ckpts/")        or model=: with networks to slice again, as stars are dragged
    view.anchors = [[0, 0], [1, 0], [0, 2]]        where the anchors are on the plane; the window follows them
    view.samples = [3, 14, 15]                     the plane through three training samples

A step's data crosses to the browser when it is first shown. This file alone knows anywidget and traitlets.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import replace
from typing import Any

import anywidget
import numpy as np
import traitlets

from splineviz.drawing import export, previews
from splineviz.errors import DataError, SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.geometry.plane import Plane
from splineviz.viewer import page
from splineviz.viewer.reslicing import Slicer, moved

HELD_REGIONS = 4_000_000
"""Partitions of another slice are kept up to this many regions, of all steps together."""


class Explorer(anywidget.AnyWidget):
    """A view of a source. Made by `splineviz.explore`; traits: step, camera, fill, selected_ids, anchors, samples."""

    _esm = traitlets.Unicode(page.script()).tag(sync=True)
    _css = traitlets.Unicode(page.style()).tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    camera = traitlets.List(traitlets.Float(), maxlen=3).tag(sync=True)
    fill = traitlets.Unicode("slope").tag(sync=True)
    selected_ids = traitlets.List(traitlets.Int()).tag(sync=True)
    height = traitlets.Unicode("620px").tag(sync=True)
    """Of the explorer in the notebook, as CSS writes lengths."""
    name = traitlets.Unicode().tag(sync=True)
    """By which the front end finds the static picture that stands in the notebook for it."""
    sliced = traitlets.Dict().tag(sync=True)
    """What the front end must know of another slice: its number, anchors, picture, and the samples it goes through."""
    anchors = traitlets.List(traitlets.List(traitlets.Float()))
    samples = traitlets.List(traitlets.Int())
    _source: page.Source
    _slicer: Slicer | None

    @classmethod
    def on(
        cls,
        source: page.Source,
        *,
        fill: str = "slope",
        outputs: bool | None = None,
        slicer: Slicer | None = None,
        height: str = "620px",
    ) -> Explorer:
        """A widget on a source; fill, outputs, height: as `splineviz.explore` takes them; slicer: cuts other slices."""
        meta = page.describe(source, fill=fill)
        if slicer is not None:
            meta |= {"live": True, "samples": slicer.count}
        view = cls(meta=meta, fill=fill, step=source.steps[-1], height=height, name=uuid.uuid4().hex[:12])
        view._source, view._slicer = source, slicer
        view._outputs = sum(meta["regions"]) <= page.OUTPUTS_BUDGET if outputs is None else outputs
        view._slice, view._ours, view._quick = 0, True, False
        view.anchors = meta["anchors"]
        view._ours = False
        view.on_msg(view._answer)
        return view

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the browser changed. The step first: the regions that are selected are those of the new one."""
        if "step" in sync_data:
            super().set_state({"step": sync_data["step"]})
        super().set_state({name: value for name, value in sync_data.items() if name != "step"})

    # ---- what a notebook keeps ----

    def still(self) -> bytes:
        """A PNG of the step that is shown: what stands for the explorer where no kernel runs."""
        return previews.partition_png(self.partition, fill=self.fill, title=f"step {self.step:,}")

    def _ipython_display_(self, **options: Any) -> None:
        """The widget, and below it a picture that the widget hides as long as it lives: a saved notebook shows that one."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_(**options) or ({}, {})
        display(data, metadata=metadata, raw=True)
        picture = base64.b64encode(self.still()).decode()
        name = f"splineviz {self.name}"
        html = f'<style>{page.lone(name)}</style><img alt="{name}" width="480" src="data:image/png;base64,{picture}">'
        display({"text/html": html, "text/plain": repr(self)}, raw=True)

    def __repr__(self) -> str:
        return f"Explorer(step={self.step}, fill={self.fill!r}, {previews.counted(self.partition.num_regions)})"

    # ---- checked before they are taken ---------------------------------------------------------------

    @traitlets.validate("step")
    def _known_step(self, proposal: Any) -> int:
        steps = self.meta.get("steps", [])
        if proposal["value"] not in steps:
            raise DataError(f"step: expected one of {', '.join(map(str, steps))}, got {proposal['value']}.")
        return int(proposal["value"])

    @traitlets.validate("fill")
    def _known_fill(self, proposal: Any) -> str:
        if proposal["value"] not in page.FILLS:
            raise DataError(f"fill: expected one of {', '.join(page.FILLS)}, got {proposal['value']!r}.")
        return str(proposal["value"])

    @traitlets.validate("selected_ids")
    def _known_regions(self, proposal: Any) -> list[int]:
        found = [int(region) for region in proposal["value"]]
        if found and not (0 <= min(found) and max(found) < (most := self.partition.num_regions)):
            raise DataError(f"selected_ids: expected regions from 0 to {most - 1}, got {min(found)} to {max(found)}.")
        return found

    @traitlets.validate("height")
    def _known_height(self, proposal: Any) -> str:
        if not re.fullmatch(r"\d+(\.\d+)?(px|em|rem|vh|%)", proposal["value"]):
            raise DataError(f"height: expected a length such as 620px or 80vh, got {proposal['value']!r}.")
        return str(proposal["value"])

    @traitlets.validate("camera")
    def _real_camera(self, proposal: Any) -> list[float]:
        found = [float(value) for value in proposal["value"]]
        if found and not (len(found) == 3 and np.isfinite(found).all() and found[2] > 0):
            raise DataError(f"camera: expected [u, v, half] with a positive half, got {proposal['value']}.")
        return found

    @traitlets.validate("anchors")
    def _other_anchors(self, proposal: Any) -> Any:
        if not self._ours:
            self._cut(moved(self.partition.plane, proposal["value"]), [])
        return proposal["value"]

    @traitlets.validate("samples")
    def _other_samples(self, proposal: Any) -> Any:
        if not self._ours:
            self._cut(self._live().through(proposal["value"]), proposal["value"])
        return proposal["value"]

    @traitlets.observe("step")
    def _forget_selection(self, change: Any) -> None:
        self.selected_ids = []  # the regions of another step have other numbers

    # ---- for Python ----------------------------------------------------------------------------------

    @property
    def partition(self) -> Partition:
        """The partition of the step that is shown."""
        return self._source.read(self._source.steps.index(self.step))

    @property
    def selected(self) -> Any:
        """The selected regions as a pandas.DataFrame with the columns of `export.region_table`."""
        import pandas

        ids = np.array(self.selected_ids, dtype=np.int64)
        return pandas.DataFrame({name: values[ids] for name, values in export.region_table(self.partition).items()})

    # ---- another slice -------------------------------------------------------------------------------

    def _live(self) -> Slicer:
        if self._slicer is None:
            raise DataError("explore: expected model= or run= to slice again, got neither; pass one of them to explore.")
        return self._slicer

    def _cut(self, plane: Plane, samples: list[int]) -> None:
        """Show all steps on another plane; the present step is cut at once, the others when they are asked for."""
        slicer, steps = self._live(), self._source.steps
        here, quick = steps.index(self.step), self._quick
        old = self.partition.plane
        held = {here: slicer.cut(self.step, plane, quick=quick)}

        def read(index: int) -> Partition:
            if index not in held:
                held[index] = slicer.cut(steps[index], plane, quick=quick)
                while len(held) > 1 and sum(part.num_regions for part in held.values()) > HELD_REGIONS:
                    held.pop(next(iter(held)))
            return held[index]

        self._source = replace(self._source, read=read, table=())
        self._slice += 1
        if quick:
            # Who drags waits for the picture: its numbers go along, and before the slice is announced.
            self._send_step(here, self._slice, early=True)
        self.selected_ids = []
        said = {"slice": self._slice, "anchors": plane.anchors_uv.tolist(), "samples": list(samples), "partial": quick}
        if not (np.array_equal(plane.origin, old.origin) and np.array_equal(plane.basis, old.basis)):
            # Else the inputs and the camera stay what they are.
            said["picture"] = page.picture(plane)
        self._ours = True
        try:
            self.samples, self.anchors = list(samples), said["anchors"]
        finally:
            self._ours = False
        self.sliced = said

    # ---- what the browser asks for -------------------------------------------------------------------

    def _answer(self, widget: Any, message: Any, buffers: Any) -> None:
        """A step, or another slice: the anchors moved to other places, or the plane through other samples."""
        kind = message.get("kind") if isinstance(message, dict) else None
        try:
            if kind == "step":
                self._send_step(message.get("index"), message.get("slice", 0), text=bool(message.get("base64")))
            elif kind == "anchors":
                self._quick = message.get("whole") is False  # the hand still moves: a part of the window will do
                try:
                    self.anchors = message.get("anchors")
                finally:
                    self._quick = False
            elif kind == "samples":
                self.samples = message.get("samples")
        except (SplinevizError, traitlets.TraitError, OSError) as error:
            self.send({"kind": "refused", "error": str(error)})

    def _send_step(self, index: Any, sliced: Any, *, text: bool = False, early: bool = False) -> None:
        """A step's numbers as a buffer; text: as base64, for a notebook that loses buffers; early: unasked."""
        if not isinstance(index, int) or not 0 <= index < len(self._source.steps) or sliced != self._slice:
            return
        said = {"kind": "step", "index": index, "slice": sliced, **({"early": True} if early else {})}
        try:
            content = page.pack_step(self._source.read(index), outputs=self._outputs)
        except (SplinevizError, OSError) as error:
            self.send({**said, "error": str(error)})
        else:
            if text:
                self.send({**said, "base64": base64.b64encode(content).decode()})
            else:
                self.send(said, [content])
