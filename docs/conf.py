"""Sphinx's settings. The folder that it reads is made by ``publish.py``, and so is none of ours."""

from importlib.metadata import version as installed

project = "netviz"
author = "the netviz authors"
copyright = "the netviz authors; the lessons under CC BY 4.0, the code under the MIT License"
version = release = installed("netviz-lab")
language = "en"
smartquotes_action = "qe"  # Two hyphens begin an option.

extensions = [
    "captions",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "lexer",
]
nb_execution_mode = "off"  # They come with their outputs.
myst_enable_extensions = ["attrs_block"]
# A cell is copied as one would type it in a terminal.
copybutton_prompt_text = r"%%bash|!|\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False

default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "netviz"
html_static_path = ["static"]
html_extra_path = ["extra"]
html_css_files = ["fonts.css", "palette.css", "lessons.css"]
html_js_files = ["view.js", "lessons.js"]
html_show_sphinx = False
html_use_index = False
html_domain_indices = False
html_copy_source = False
html_permalinks_icon = "#"
html_favicon = "static/icon.svg"
html_theme_options = {
    "navigation_with_keys": False,
}
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
