"""The docs site: `make docs` builds it into docs/_build/html, without the web and with warnings as errors."""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers.shell import BashLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

import mekeval

sys.path.insert(0, str(Path(__file__).parent))
from write_study import json_schema

LOGGER = logging.getLogger(__name__)
MATHML = "http://www.w3.org/1998/Math/MathML"
#: One that XML does not know.
ENTITY = re.compile(r"&(?!lt;|gt;|amp;|quot;|#)\w+;")
ElementTree.register_namespace("", MATHML)

project = "mekeval"
author = "the authors of mekeval"
version = release = mekeval.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_click",
    "thumbnails",
]
exclude_patterns = ["_build"]

html_theme = "pydata_sphinx_theme"
html_title = f"mekeval {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_math_renderer = "mathml"
html_extra_path = ["_build/extra"]
html_context = {"default_mode": "auto"}
smartquotes = False  # "ok" in a docstring is a string
html_theme_options = {
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_nav_level": 1,
    "navigation_depth": 2,
    "show_toc_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

nitpicky = True
# A single backtick in a docstring is a parameter as often as a name of the library: only what claims to be ours
# must be found.
nitpick_ignore_regex = [("py:.*", r"(?!mekeval\.).*")]
default_role = "py:obj"
highlight_language = "none"  # what is code says in which language it is

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["deflist", "dollarmath", "substitution"]
myst_substitutions = {"schema_link": '<a href="study.schema.json">study.schema.json</a>'}
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("config-inited", _write_schema)
    app.connect("source-read", _rewritten)
    app.connect("missing-reference", _by_public_name)
    app.connect("sphinx-click-process-options", _plain_paths)
    app.add_lexer("crontab", BashLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_schema(app: Sphinx, _: object) -> None:
    """The JSON schema of study.toml, beside the pages."""
    folder = Path(app.srcdir) / "_build" / "extra" / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.schema.json").write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")


#: What stands in a page of the reference for a list of public names.
API = re.compile(r"^```\{api\}\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


#: A link to a file by its place in the repository.
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)\)")


def _rewritten(app: Sphinx, page: str, source: list[str]) -> None:
    """What pages say for a reader of the repository, as the site has it.

    Names in a page of the reference: first a table of them, then what the docstring of each says. A link to a file that
    is no page: its place in the repository.
    """
    root, here = Path(app.srcdir).resolve().parent, (Path(app.srcdir) / page).resolve().parent

    def place(found: re.Match[str]) -> str:
        target = (here / found[2]).resolve()
        if target.is_relative_to(app.srcdir) or not (target.exists() and target.is_relative_to(root)):
            return found[0]
        return f"{found[1]} (`{target.relative_to(root)}`)"

    source[0] = LINK.sub(place, API.sub(lambda found: _api(found[1].split()), source[0]))


#: Public names that are neither class nor function.
DATA = {
    "CATALOGUES": "Names of the catalogues that are shipped, for `read_catalogue` and `[catalogue] use`:",
    "ESTIMATORS": "Every estimator that needs no more than a panel, a design and an outcome, by name:",
    "READERS": "Every reader of raw files, by the name that a source gives as `reader`:",
}


def _api(names: list[str]) -> str:
    rows = "".join(f"   {name}\n" for name in names if name not in DATA)
    parts = [".. currentmodule:: mekeval\n", f".. autosummary::\n   :nosignatures:\n\n{rows}"]
    for name in names:
        if name in DATA:
            held = ", ".join(f"``{key}``" for key in getattr(mekeval, name))
            parts.append(f".. py:data:: {name}\n\n   {DATA[name]} {held}.\n")
        elif isinstance(getattr(mekeval, name), type):
            parts.append(f".. autoclass:: {name}\n   :members:\n")
        else:
            parts.append(f".. autofunction:: {name}\n")
    return "````{eval-rst}\n" + "\n".join(parts) + "\n````"


def _plain_paths(_app: Sphinx, _command: object, lines: list[str]) -> None:
    """A default folder as a person writes it."""
    lines[:] = [re.sub(r"\w+Path\('([^']*)'\)", r"'\1'", line) for line in lines]


def _by_public_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """What a docstring calls by its module: a link where it is public, plain where it is ours, else a warning."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or not module.startswith("mekeval."):
        return None
    try:
        value = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None
    if getattr(mekeval, name, None) is not value:
        return content
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"mekeval.{name}", node, content)


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node))
    raise nodes.SkipNode


def _display(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math" tabindex="0">{_mathml(node, display=True)}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, display: bool = False) -> str:
    """A formula in the page itself: browsers show MathML without a script."""
    try:
        written = tex2mathml(node.astext().strip(), as_block=display)
    except MathError as error:
        LOGGER.warning("a formula: %s", error, location=node)
        return ""
    formula = ElementTree.fromstring(ENTITY.sub(lambda found: unescape(found[0]), written))
    for part in formula.iter(f"{{{MATHML}}}munderover"):
        base, index, accent = part
        if not base.tag.endswith(
            "}mo"
        ):  # docutils sets the index of a letter with an accent below the letter
            part.tag = f"{{{MATHML}}}msub"
            letter = ElementTree.Element(f"{{{MATHML}}}mover", {"accent": "true"})
            letter.extend([base, accent])
            part[:] = [letter, index]
    return ElementTree.tostring(formula, encoding="unicode")
