r"""Seam values: what both sides of a seam between blocks must agree on is decided once, by the block that comes first.

      block 1 |  block 2       z at the seam's vertices enters both blocks from batches of their own, and a linear
       --x----o----x--         algebra library may round a row in each of them otherwise. Whichever block reaches a
              |                vertex o first writes down the values there that decide how the seam's edges are cut;
       --x----o----x--         the other takes them over in the place of its own, which differ in the last bits.

So the seam is cut at the same places to the bit, whatever the library, the processor and the batch. Kept are the few
values that matter: of units that change sign along a seam edge, of values near 0, and the rows' scales. A vertex is
known by its coordinates, which are the same to the bit on both sides for this very reason.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from splineviz._kernels import agreeing
from splineviz.errors import FloatArray
from splineviz.regions.blocks import Block

BAND = 2.0**-38
"""Values this small relative to their unit's scale are agreed on: 256 times what is read as 0 by default."""


class SeamValues:
    """The values that were decided so far in one enumeration. Safe to use from several threads.

    otherwise: values that the second block to come would have read with another sign.
    """

    def __init__(self) -> None:
        self.otherwise = 0
        self._keys = np.zeros(1 << 10, np.uint64)
        self._table = np.zeros(1 << 10)
        self._used = 0
        self._lock = threading.Lock()

    def agree(
        self, block: Block, row_scale: FloatArray, unit_scale: FloatArray, unit_offset: FloatArray, tolerance: float
    ) -> None:
        """Take over into a block, at its seams, what other blocks have decided of the layer it stands at; decide the rest.

        The scales are those of the block's values (see `stages`); row_scale is the block's own and is agreed on too.
        """
        seams = np.flatnonzero(block.key)
        if not len(seams):
            return
        vertices = np.unique(block.edges[seams])
        words = np.zeros(len(block.uv), np.uint64)
        # + 0.0, for -0.0 and 0.0 are one coordinate.
        words[vertices] = agreeing.vertex_words((block.uv[vertices] + 0.0).view(np.uint64))
        row_scale[vertices] = self._agreed(
            block.layer, words, vertices, np.full(len(vertices), agreeing.ROW), row_scale[vertices]
        )
        at, unit = agreeing.decisive(
            seams, block.edges, vertices, block.values, row_scale, unit_scale, unit_offset, max(BAND, 256.0 * tolerance)
        )
        values = self._agreed(block.layer, words, at, unit, block.values[at, unit])
        other = agreeing.take_over(block.values, row_scale, unit_scale, unit_offset, tolerance, at, unit, values)
        if other:
            with self._lock:
                self.otherwise += other

    def _agreed(
        self,
        layer: int,
        words: npt.NDArray[np.uint64],
        vertices: npt.NDArray[np.integer],
        units: npt.NDArray[np.integer],
        values: FloatArray,
    ) -> FloatArray:
        with self._lock:
            if 2 * (self._used + len(values)) > len(self._keys):
                self._grow(self._used + len(values))
            self._used += agreeing.agreed(self._keys, self._table, words, layer, vertices, units, values)
        return values

    def _grow(self, entries: int) -> None:
        size = 1 << int(np.ceil(np.log2(4 * entries)))
        keys, table = np.zeros(size, np.uint64), np.zeros(size)
        agreeing.rehashed(self._keys, self._table, keys, table)
        self._keys, self._table = keys, table
