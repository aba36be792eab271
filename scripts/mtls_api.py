"""Writes docs/mtls-api.md: every public name of services/mtls, with its docstring.

    scripts/mtls_api              write the page
    scripts/mtls_api --names      print the names and their signatures, one a line

The source is read and not imported: the page is the same under every version of Python.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MTLS: Final = ROOT / "services/mtls"
PAGE: Final = ROOT / "docs/mtls-api.md"

_HEAD: Final = """\
# The public names of services/mtls

Made from the docstrings by `scripts/mtls_api`. A change of a name or a signature has an entry in
[CHANGELOG.md](../CHANGELOG.md).
How they fit together: [services/mtls](../services/mtls/README.md).
"""
_SECTIONS: Final = {
    "mtls": "## from mtls import ...",
    "mtls.reporting": "## from mtls.reporting import ...",
}
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class Name:
    """A public name: its signature, what its docstring says, and the same of its members."""

    name: str
    signature: str
    text: str
    members: tuple["Name", ...] = ()


def public_names(package: str) -> list[Name]:
    """Return the names in a package's `__all__`, in the order of the alphabet."""
    tree = _parsed(package)
    modules = _origins(tree, package)
    names = ast.literal_eval(_definition(tree, "__all__").value)  # type: ignore[union-attr,arg-type]
    return [_described(name, modules[name]) for name in sorted(names, key=str.lower)]


def _parsed(module: str) -> ast.Module:
    path = MTLS.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _origins(tree: ast.Module, package: str) -> dict[str, str]:
    """Return the module in which each name that the package imports is defined."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)
    found = {alias.name: node.module or "" for node in imports for alias in node.names}
    return {name: module for name, module in found.items() if module.startswith(package)}


def _described(name: str, module: str) -> Name:
    tree = _parsed(module)
    definition = _definition(tree, name)
    if isinstance(definition, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in definition.bases)
        signature = f"class {name}({bases})" if bases else f"class {name}"
        return Name(name, signature, _docstring(definition), tuple(_members(definition)))
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return Name(name, _signature(definition), _docstring(definition))
    return Name(name, ast.unparse(definition), _text_after(tree, definition))


def _definition(tree: ast.Module, name: str) -> _Definition:
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                return node
            case ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                return node
            case ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return node
            case _:
                pass
    raise LookupError(name)


def _members(definition: ast.ClassDef) -> Iterator[Name]:
    """Yield the fields, the properties and the methods that do not begin with an underscore."""
    is_enum = any("Enum" in ast.unparse(base) for base in definition.bases)
    for node in definition.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield Name(name, ast.unparse(node), _text_after(definition, node))
            case ast.Assign(targets=[ast.Name(id=name)]) if is_enum and not name.startswith("_"):
                yield Name(name, ast.unparse(node), "")
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not node.name.startswith("_"):
                yield Name(node.name, _signature(node), _docstring(node))
            case ast.FunctionDef(name="__init__"):
                yield Name(node.name, _signature(node), "")
            case _:
                pass


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the definition without its body; what it is decorated with comes first."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    before = "".join(f"@{decorator} " for decorator in decorators)
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{before}{kind} {node.name}({ast.unparse(node.args)}){returns}"


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


def _text_after(parent: ast.Module | ast.ClassDef, node: ast.stmt) -> str:
    """Return the text below an assignment, which is its docstring."""
    following = parent.body[parent.body.index(node) + 1 :][:1]
    match following:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return inspect.cleandoc(text)
        case _:
            return ""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for package, heading in _SECTIONS.items():
        parts.append(f"{heading}\n")
        for name in public_names(package):
            parts.append(f"### {name.name}\n\n`{name.signature}`\n\n{name.text}\n")
            described = [member for member in name.members if member.name != "__init__"]
            parts += [_line(member) for member in described]
            parts += [""] if described else []
    return "\n".join(parts).rstrip().replace("\n\n\n", "\n\n") + "\n"


def _line(member: Name) -> str:
    text = " ".join(member.text.partition("\n\n")[0].split())
    return f"- `{member.signature}`" + (f": {text}" if text else "")


def names() -> list[str]:
    """Return every public name with its signature, and every member of a class with its own."""
    lines = []
    for package in _SECTIONS:
        for name in public_names(package):
            lines.append(f"{package}.{name.name}: {name.signature}")
            lines += [
                f"{package}.{name.name}.{each.name}: {each.signature}" for each in name.members
            ]
    return lines


if __name__ == "__main__":
    if sys.argv[1:] == ["--names"]:
        print("\n".join(names()))
    else:
        PAGE.write_text(page(), "utf-8")
