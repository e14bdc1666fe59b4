r"""Print layouts: places on a printed figure in inches, and the sizes of its texts, found before anything is drawn.

        |<-------------------- width -------------------->|
        step 100          step 10,000                            a line of text above each panel
        +-------------+   +-------------+  #  1                  panels are equal squares, `across` a row
        |             |   |             |  #      s
        |             |   |             |  #  0.1 l              the bar: its ticks' numbers, then its name, turned
        |             |   |             |  #      o
        +-------------+   +-------------+  #                     as wide as those texts are, no wider
        |--| 2       12   |--| 2       33                        foot: scale bar and count, in one line or two
        +------+------+   +------+------+
        | zoom | zoom |   | zoom | zoom |
        +------+------+   +------+------+

Texts are measured as they will be set. One that is too wide for its place is set smaller, down to SMALLEST, with all of its
kind; where even that is too wide, the figure is refused. This file knows no partition and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib import rcParams
from matplotlib.cbook import is_math_text
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from splineviz.errors import DataError

SMALLEST = 4.5
"""Size below which no text is set, in points."""

EDGE = 0.04
"""Room round the figure, in inches."""


def wide(text: str, size: float, weight: Any = None) -> float:
    """Width of a line of text in inches, in the font of the style; size: in points, weight: as matplotlib takes it."""
    font = FontProperties(size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, is_math_text(text))[0]) / 72.0


def fitted(texts: Sequence[str], room: float, size: float, *, what: str, remedy: str, weight: Any = None) -> float:
    """The largest size (points) up to `size` in which every text is at most `room` (inches) wide.

    Raises DataError where that is below SMALLEST; what, remedy: for its words.
    """
    most = max((wide(text, size, weight) for text in texts), default=0.0)
    chosen = size if most <= room else size * max(room, 0.0) / most * 0.995
    if chosen < min(SMALLEST, size):
        longest = max(texts, key=lambda text: wide(text, size))
        raise DataError(
            f"{what}: expected room for {longest!r} in {SMALLEST:g} points or more, got room for {chosen:.1f}; {remedy}."
        )
    return chosen


@dataclass(frozen=True)
class Bar:
    """What stands beside a colour bar: values of its ticks with their places in [0, 1], their texts, and its name.

    short: a name to take where the full one finds no room; none: the figure is refused.
    """

    ticks: tuple[float, ...]
    places: tuple[float, ...]
    texts: tuple[str, ...]
    name: str
    short: str = ""


@dataclass
class Layout:
    """Places in inches. Each cell holds title, panel, foot and zooms; text: height of a line.

    small, title: sizes of numbers and titles, in points. titles, counts, lengths, zoom_lengths: texts above panels, at the
    right of their feet, and beside scale bars.
    note: whether a line of text stands below all panels. Raises DataError where a text has no room.
    """

    width: float
    across: int
    count: int
    zooms: int
    bar: Bar | None
    text: float
    small: float
    title: float
    titles: Sequence[str] = ()
    counts: Sequence[str] = ()
    lengths: Sequence[str] = ()
    zoom_lengths: Sequence[str] = ()
    note: bool = False
    bar_lines: tuple[str, ...] = ()
    """The name of the bar, in one line or two."""
    feet: int = 1
    """Lines below a panel."""
    sizes: dict[str, float] = field(default_factory=dict)
    """Size of the texts of each kind (title, foot, zoom, name), in points."""

    def __post_init__(self) -> None:
        remedy = "take fewer panels a row, a wider figure or a style with smaller type"
        if self.bar is not None:
            self.bar_lines = (self.bar.name,)
            if wide(self.bar.name, 72.0 * self.text) > self.side and " (" in self.bar.name:
                first, rest = self.bar.name.split(" (", 1)
                self.bar_lines = (first, f"({rest}")
            if self.bar.short and max(wide(line, SMALLEST) for line in self.bar_lines) > self.side:
                self.bar_lines = (self.bar.short,)
        if self.side < 2.0 * self.text:
            raise DataError(
                f"width: expected room for panels of {2 * self.text:.2f} inches or more, got {self.side:.2f}; {remedy}."
            )
        long = max((wide(text, self.small) for text in self.lengths), default=0.0)
        most = max((wide(text, self.small) for text in self.counts), default=0.0)
        self.feet = 1 if 0.3125 * self.side + 0.3 * self.text + long + self.text + most <= self.side else 2
        beside = 0.6875 * self.side - 0.3 * self.text
        self.sizes = {
            "title": fitted(
                self.titles, self.side, self.title, what="titles", remedy=remedy, weight=rcParams["axes.titleweight"]
            ),
            "foot": min(
                fitted(self.counts, self.side, self.small, what="width", remedy=remedy),
                fitted(self.lengths, beside, self.small, what="width", remedy=remedy),
            ),
            "zoom": fitted(
                self.zoom_lengths, 0.6875 * self.zoom_side - 0.3 * self.text, self.small, what="zooms", remedy=remedy
            ) if self.zooms else self.small,
            "name": fitted(self.bar_lines, self.side, 72.0 * self.text, what="fill_label", remedy=remedy),
        }  # fmt: skip

    def room_for_title(self, title: str) -> bool:
        """Whether a title fits above a panel in its full size."""
        return wide(title, self.title, weight=rcParams["axes.titleweight"]) <= self.side

    @property
    def gap(self) -> float:
        """Between panels."""
        return 0.6 * self.text

    @property
    def room(self) -> float:
        """Right of the panels: the bar, its numbers and its name, and what the last number in a foot may need."""
        if self.bar is None:
            return 0.06
        numbers = max((wide(text, self.small) for text in self.bar.texts), default=0.0)
        return self.gap + 0.8 * self.text + 0.07 + numbers + 0.06 + 1.25 * self.text * len(self.bar_lines) + 0.02

    @property
    def side(self) -> float:
        """Of a panel."""
        return (self.width - self.room - EDGE - (self.across - 1) * self.gap) / self.across

    @property
    def zoom_side(self) -> float:
        """Of a zoom, 0 without any."""
        return (self.side - (self.zooms - 1) * 0.3 * self.text) / self.zooms if self.zooms else 0.0

    @property
    def foot(self) -> float:
        """Height of what stands below a panel."""
        return (0.5 + 1.2 * self.feet) * self.text

    @property
    def cell(self) -> float:
        """Height of a panel with its title, its foot and its zooms (each of which has a foot)."""
        below = self.zoom_side + 1.7 * self.text if self.zooms else 0.0
        return 1.7 * self.text + self.side + self.foot + below

    @property
    def height(self) -> float:
        """Of the figure."""
        return -(-self.count // self.across) * self.cell + 1.2 * self.text * self.note + EDGE

    def panel(self, index: int) -> tuple[float, float]:
        """Lower left corner of a panel."""
        row, column = divmod(index, self.across)
        return EDGE + column * (self.side + self.gap), self.height - row * self.cell - 1.7 * self.text - self.side

    def zoom(self, index: int, which: int) -> tuple[float, float]:
        """Lower left corner of a zoom."""
        x, y = self.panel(index)
        return x + which * (self.zoom_side + 0.3 * self.text), y - self.foot - self.zoom_side

    def shown_ticks(self) -> tuple[list[float], list[str]]:
        """Ticks of the bar and their texts: all, or every second, third, ... so that no number covers the next."""
        if self.bar is None:
            return [], []
        places = [place * self.side for place in self.bar.places]
        stride = 1
        while any(b - a < 1.15 * self.small / 72.0 for a, b in zip(places[::stride], places[stride::stride], strict=False)):
            stride += 1
        return list(self.bar.ticks[::stride]), list(self.bar.texts[::stride])
