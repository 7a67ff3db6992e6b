"""Settings of the book. Its source is the root of the repository, so links are those that GitHub follows."""

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE)]

from reference import linkcode_resolve  # noqa: E402, F401

project = "kdlearn"
version = release = importlib.metadata.version("kdlearn")
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.linkcode"]
extensions += ["sphinxcontrib.bibtex", "sphinx_copybutton", "sphinx_design"]
extensions += ["formulas", "font", "sources", "links", "citations", "reference", "gallery", "downloads", "stored"]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*", "notebooks/workbook/*"]
exclude_patterns = [".*", "**/.*", "docs/_*", "build", "out"]

# Markdown and notebooks: what GitHub shows, no more. Notebooks are shown as they were stored, never run.
myst_enable_extensions = ["dollarmath", "attrs_block", "colon_fence"]
myst_dmath_double_inline = True
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a derivation's labels are headings of the third level
nb_execution_mode = "off"
nb_ipywidgets_js = {}

# The reference. Shapes stand in the docstrings, and single backticks there are names or labels.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Array": "Array"}
autodoc_member_order = "bysource"
autosummary_generate = False
napoleon_google_docstring = False
python_maximum_signature_line_length = 100
nitpick_ignore_regex = [("py:class", r"(?!kdlearn).*|.*\.Swapped|kdlearn\.nn\.module\.M")]  # types of others
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_partial_fit_request, set_score_request",
}
add_module_names = False
default_role = "book"
nitpicky = True

# Papers: citations are found in the text, by author and year.
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

# The theme. Nothing is fetched from elsewhere: formulas are MathML, and their font lies beside the pages.
html_theme = "furo"
html_title = f"kdlearn {release}"
html_favicon = "_static/favicon.svg"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = sorted(path.name for path in (HERE / "_static").glob("*.css"))
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_js_files = [(path.name, {"defer": "defer"}) for path in sorted((HERE / "_static").glob("*.js"))]
html_search_scorer = str(HERE / "_ext" / "scorer.js")
html_copy_source = html_show_copyright = html_domain_indices = False
html_theme_options = {"navigation_with_keys": False}
