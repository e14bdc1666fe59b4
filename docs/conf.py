"""The site: `make docs`. Pages are Markdown; docstrings are plain text, which `as_written` keeps as it stands."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import listed

from splineviz import __version__

listed.write()

project = "splineviz"
author = "The splineviz authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"splineviz {__version__}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
highlight_language = "none"
html_theme_options = {"light_css_variables": {"color-brand-primary": "#7a0177", "color-brand-content": "#7a0177"}}
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
pygments_style = "friendly"


SECTIONS = ("Args:", "Returns:", "Raises:")


def escaped(text: str) -> str:
    """One line; names in single backquotes stay as they are (default_role), what reStructuredText would read is escaped."""
    parts = re.split(r"(`[^`]+`)", " ".join(row.strip() for row in text.split("\n")))
    return "".join(p if p.startswith("`") else re.sub(r"([*|\\`])|(?<=\w)_(?!\w)", r"\\\g<0>", p) for p in parts)


def as_written(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are prose, sections of `name: meaning` and drawings; make reStructuredText of them that reads the same."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", textwrap.dedent("\n".join(lines)).strip("\n")):
        rows = block.split("\n")
        if rows[0] in SECTIONS:
            out += [f"**{rows[0].rstrip(':')}**", ""]
            for item in re.split(r"\n {4}(?! )", "\n".join(rows[1:]).removeprefix("    ")):
                names, colon, meaning = item.partition(": ")
                named = re.fullmatch(r"\w+(, \w+)*", names) if colon else None
                out.append("* " + (f"`{names}`: {escaped(meaning)}" if named else escaped(item)))
            out.append("")
            continue
        drawn = any(re.match(r"\s{2,}\S", row) for row in rows) or any(re.search(r"\S {3,}\S", row) for row in rows)
        if drawn:
            out += ["::", "", *("    " + row for row in rows), ""]
        else:
            out += [escaped(block), ""]
    lines[:] = out


def setup(app: object) -> None:
    """Hook into autodoc."""
    app.connect("autodoc-process-docstring", as_written)  # type: ignore[attr-defined]
