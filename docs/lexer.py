"""Colour a notebook's cells: what a shell reads as a shell script, and the rest as Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pygments.lexer import RegexLexer, bygroups, using
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Operator, String, Text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LEXER = "netviz"


class CommandLexer(RegexLexer):
    """Commands as one types them: to ``ip``, ``type`` and ``set`` are words like others."""

    name = "commands"
    tokens: ClassVar = {
        "root": [
            (r"#.*", Comment),
            (r"'[^']*'|\"[^\"]*\"", String),
            (r"\$\(|\$\w+|\$\{[^}]*\}|\$\$", Name.Variable),
            (r"\b(?:for|in|do|done|if|then|fi|until)\b(?!-)", Keyword),
            (r"(?<=\s)--?[a-zA-Z][\w-]*", Name.Attribute),
            (r"[;&|<>]+", Operator),
            (r"[\w./:@%-]+|.|\n", Text),
        ]
    }


class CellLexer(RegexLexer):
    """Lines with an exclamation mark, whole cells of ``%%bash``, shell scripts, and Python."""

    name = LEXER
    tokens: ClassVar = {
        "root": [
            (
                r"(%%bash\b.*\n|%%writefile .*\.sh\n)((?:.*\n)*)",
                bygroups(Keyword, using(CommandLexer)),
            ),
            (r"(%%\w+)(.*\n)", bygroups(Keyword, Text)),
            # It may be indented, keep what was said, and go on in the next line.
            (
                r"([ \t]*(?:\w+ = )?)(!)((?:.*\\\n)*.*\n)",
                bygroups(using(PythonLexer), Operator, using(CommandLexer)),
            ),
            (r"(?:(?![ \t]*(?:\w+ = )?!).*\n)+", using(PythonLexer)),
        ]
    }


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this to a build."""
    app.add_lexer(LEXER, CellLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
