"""The documentation as a site: `make docs` builds it into build/docs, without network and without warnings."""

import re
from importlib.metadata import version as installed
from typing import Any

project = "Hardpoint"
author = "The Hardpoint authors"
copyright = "the Hardpoint authors"
version = release = installed("hardpoint")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["notebooks"]  # offered as a file
html_theme = "furo"
html_title = "Hardpoint"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_domain_indices = False  # the index of names is enough

default_role = "code"  # single backticks, in docstrings as in the Markdown pages
highlight_language = "none"  # indented blocks are drawings and commands
myst_heading_anchors = 3
toc_object_entries = False  # thousands of names would be copied into every page's navigation
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100


def plain(lines: list[str]) -> list[str]:
    """Docstrings as reStructuredText that shows what was written: outside backticks, no character is markup."""
    shown: list[str] = []
    example = False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        parts = line.split("`")
        if not example:
            parts[::2] = [re.sub(r"([*|\\])|_(?!\w)", r"\\\g<0>", text) for text in parts[::2]]
        shown.append("`".join(parts))
    return shown


def arrays(text: str | None) -> str | None:
    """A signature with arrays as the code writes them: NDArray[int64], not their expansion."""
    return text and re.sub(r"~?numpy\.ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?numpy\.dtype\[(.+?)\]\]", r"NDArray[\1]", text)


def setup(app: Any) -> None:
    """Called by Sphinx."""

    def escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        lines[:] = plain(lines)

    def shorten(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returned: str) -> Any:
        return arrays(signature), arrays(returned)

    app.connect("autodoc-process-docstring", escape)
    app.connect("autodoc-process-signature", shorten)
