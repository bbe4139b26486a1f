"""How the documentation is built: `make docs`, offline, every warning an error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # reference_pages.py, beside this file

from docutils import nodes
from latex2mathml.converter import convert
from reference_pages import write_reference
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from aitimestepper import __version__

project = "AITimeStepper"
project_copyright = "2026, the authors of AITimeStepper"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "sg_execution_times.rst", "gallery/sg_execution_times.rst"]
html_theme = "furo"
html_title = f"AITimeStepper {release}"
html_show_sphinx = False
html_math_renderer = "mathml"

myst_enable_extensions = ["colon_fence", "dollarmath"]
smartquotes = False  # --flag stays what can be typed
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Floats": "Floats", "Array": "Array"}
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "code"

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 1e9,
}

write_reference(Path(__file__).parent / "reference")


def setup(app: Sphinx) -> None:
    """Docstrings are plain text: bars are absolute values, and what `Attributes` says of a field is said once."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("autodoc-process-docstring", _keep_bars, priority=100)
    app.connect("autodoc-skip-member", _skip_fields)


def _inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    """A formula as MathML, which browsers draw by themselves, offline."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display_math(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def _keep_bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    quoted = re.compile(r"(``.*?``|`.*?`)")
    lines[:] = ["".join(p if p.startswith("`") else p.replace("|", r"\|") for p in quoted.split(x)) for x in lines]


def _skip_fields(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    return True if type(obj).__name__ == "_tuplegetter" else None
