"""ES modules that import each other by relative paths -> one script without imports, which runs in pages and in workers.

Each module becomes a function that is called when it is first asked for: `nfld("viewer/main.js")`. That takes the few forms
of import and export that nfcodec/view/ uses, each at the beginning of a line, and no cycles; anything else is refused.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

__all__ = ["bundle"]

_IMPORT = re.compile(r'^import (?:(\{[^}]*\})|\* as (\w+)) from "(\.[^"]+)";$', re.M)
_REEXPORT = re.compile(r'^export (\{[^}]*\}) from "(\.[^"]+)";$', re.M)
_EXPORTED = re.compile(r"^export ((?:async )?function\*? ?|class |const |let |var )(\w+)", re.M)
_EXPORTS = re.compile(r"^export \{([^}]*)\};$", re.M)
_LOADER = """"use strict";
globalThis.nfld = (() => {
  const modules = {}, made = {};
  const load = (name) => made[name] ?? (modules[name]((made[name] = {}), load), made[name]);
  load.modules = modules;
  return load;
})();
"""


def bundle(root: Path, entries: tuple[str, ...]) -> str:
    """The modules below `root` that the entries (paths relative to it) import, and themselves, as one script.

    Raises ValueError where a module has a form of import or export that is not known.
    """
    texts: dict[str, str] = {}
    due = list(entries)
    while due:
        name = due.pop()
        if name not in texts:
            texts[name], needs = _wrapped(name, (root / name).read_text("utf-8"))
            due += needs
    return _LOADER + "".join(texts[name] for name in sorted(texts))


def _wrapped(name: str, text: str) -> tuple[str, list[str]]:
    """A module as a function, and the modules that it needs."""
    needs: list[str] = []
    tail: list[str] = []

    def load(path: str) -> str:
        needs.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), path)))
        return f"load({json.dumps(needs[-1])})"

    def imported(match: re.Match) -> str:
        names, whole, path = match.groups()
        return f"const {whole or names.replace(' as ', ': ')} = {load(path)};"

    def reexported(match: re.Match) -> str:
        names, path = match.groups()
        tail.append(f"{{ const {{ {_names(names)} }} = {load(path)}; Object.assign(exports, {{ {_names(names)} }}); }}")
        return ""

    def exported(match: re.Match) -> str:
        tail.append(f"exports.{match[2]} = {match[2]};")
        return match[1] + match[2]

    def listed(match: re.Match) -> str:
        tail.append(f"Object.assign(exports, {{ {_names(match[1])} }});")
        return ""

    for form, replace in ((_IMPORT, imported), (_REEXPORT, reexported), (_EXPORTED, exported), (_EXPORTS, listed)):
        text = form.sub(replace, text)
    if left := re.search(r"^(?:import|export)\b.*|\bimport\(.*|.*</script.*", text, re.M):
        raise ValueError(f"bundling {name}: got {left[0]!r}, expected one of the forms that this bundler knows")
    return f"nfld.modules[{json.dumps(name)}] = (exports, load) => {{\n{text}\n{chr(10).join(tail)}\n}};\n", needs


def _names(text: str) -> str:
    names = text.strip("{} \n")
    if " as " in names:
        raise ValueError(f"bundling: got an export with another name ({names}), expected names alone")
    return names
