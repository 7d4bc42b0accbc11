"""Settings of the site; `make site` puts its sources together and builds it."""

import crmlab

project = "crmlab"
author = "The crmlab authors"
copyright = "The crmlab authors. Code BSD-3-Clause, prose and figures CC BY 4.0"
version = release = crmlab.__version__

extensions = [
    "crmlab.course.formulas",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
]
bibtex_bibfiles = ["references.bib"]

nb_execution_mode = "off"  # what is printed is what the tests compared
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "sphinx_book_theme"
html_math_renderer = "pictures"
html_title = "crmlab"
html_static_path = ["static"]
html_css_files = ["crmlab.css"]
html_show_search_summary = False  # a summary is fetched, which a page opened as a file cannot do
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
}
html_show_sphinx = False
