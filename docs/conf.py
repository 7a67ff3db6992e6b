"""Settings of the book. Its source is the root of the repository, so links are those that GitHub follows."""

import importlib.metadata
import importlib.resources
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "tests")]

project = "kdlearn"
version = release = importlib.metadata.version("kdlearn")
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "formulas", "sources", "links", "reference"]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*"]
exclude_patterns = [".*", "**/.*", "docs/_*", "build", "out"]

# Markdown and notebooks: what GitHub shows, no more. Notebooks are shown as they were stored, never run.
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a derivation's labels are headings of the third level
nb_execution_mode = "off"
nb_ipywidgets_js = {}

# The reference. Shapes stand in the docstrings, and single backticks there are names or labels.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_partial_fit_request, set_score_request",
}
add_module_names = False
default_role = "book"
nitpicky = True

# The theme. Nothing is fetched from elsewhere: formulas are MathML, their font is copied beside the pages.
html_theme = "furo"
html_title = f"kdlearn {release}"
html_favicon = "_static/favicon.svg"
html_math_renderer = "mathml"
html_static_path = ["_static", str(importlib.resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = sorted(path.name for path in (HERE / "_static").glob("*.css"))
html_js_files = [(path.name, {"defer": "defer"}) for path in sorted((HERE / "_static").glob("*.js"))]
html_copy_source = html_show_copyright = html_domain_indices = html_use_index = False
html_theme_options = {"navigation_with_keys": True}
