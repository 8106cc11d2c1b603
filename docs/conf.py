"""The site: every page of the repository, as it lies there, so that links between them are checked.

`make docs` builds it, warnings as errors. Pages are plain Markdown and read well on a git host too;
only the references are made here, of the commands and of the package's docstrings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ds2_fast

sys.path.insert(0, str(Path(__file__).parent / "site"))

project = "ds2-fast"
author = "The ds2-fast developers"
release = version = ds2_fast.__version__

# The source folder is the repository, not `docs`: a page may link to any other page of it.
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "benches/README.md",
    "benches/results/*.md",
    "examples/README.md",
    "rust/ds2-core/README.md",
]
# Nothing of these is a page, but Sphinx would look through them.
exclude_patterns = [".*", "target", "dist", "python", "rust/ds2-core/target", "docs/site"]
root_doc = "docs/README"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_reference"]
myst_heading_anchors = 3

default_role = "literal"  # docstrings put code between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has them; `numpy.str_` would be a link
python_maximum_signature_line_length = 88
python_display_short_literal_types = True

html_theme = "furo"
html_title = "ds2-fast"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["site/index.html"]
