"""Templates: the variables and sections of Mustache, and nothing else of it.

    {{name}}                        the value
    {{#calls}} ... {{/calls}}       kept if the value is not empty
    {{^calls}} ... {{/calls}}       kept if it is

The tags of a section may have a line each, which then vanishes: https://mustache.github.io/mustache.5.html
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).with_name("templates")

_SUFFIX: Final = ".mustache"
_LINES: Final = re.compile(r"^\{\{([#^])(\w+)\}\}\n(.*?)^\{\{/\2\}\}\n", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"\{\{([#^])(\w+)\}\}(.*?)\{\{/\2\}\}", re.DOTALL)
_VARIABLE: Final = re.compile(r"\{\{(\w+)\}\}")

Values = Mapping[str, str]


def render(name: str, values: Values) -> str:
    """Return a template with the values in it. Raises `KeyError` for a missing one."""
    return render_text((TEMPLATES / f"{name}{_SUFFIX}").read_text("utf-8"), values)


def render_text(text: str, values: Values) -> str:
    """Return the text with the values in it. Raises `KeyError` for a missing one."""

    def section(match: re.Match[str]) -> str:
        kind, name, body = match.groups()
        return body if bool(values[name]) == (kind == "#") else ""

    text = _INLINE.sub(section, _LINES.sub(section, text))
    return _VARIABLE.sub(lambda match: values[match[1]], text)
