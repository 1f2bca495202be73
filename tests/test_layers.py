"""The house as ARCHITECTURE.md draws it: floors, what each room may import, and the four places of an encoding."""

import ast
import re
import sys
from pathlib import Path

import pytest

from nfcodec.spec import ACTIVATIONS, ENCODINGS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nfcodec"
DOORS = {"__init__", "__main__"}
TORCH_ROOMS = {"fit", "torch_field", "cli"}  # encode reaches torch through fit; cli only asks it for devices


def rooms() -> dict[str, tuple[int, set[str]]]:
    """name -> (floor, packages it may import), from the table in ARCHITECTURE.md."""
    rows = re.findall(r"^\| (\d) \| `([\w/.]+)` \|[^|]*\|([^|]*)\|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    return {
        name.removesuffix(".py").rstrip("/"): (int(floor), {p.strip() for p in packages.split(",") if p.strip()})
        for floor, name, packages in rows
    }


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[tuple[str, str]]:
    """("nfcodec", room) and ("", package) for every import of a module, those inside functions too; not those for types only."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    package = ("nfcodec", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            # "from . import io" names a room, "from .io import read" does not
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] != "nfcodec":
                found.add(("", parts[0]))
            elif len(parts) > 1:
                found.add(("nfcodec", parts[1]))
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_a_room():
    assert {room_of(path) for path in MODULES} - DOORS == set(rooms())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stay_on_the_floor_or_go_down(path):
    table, room = rooms(), room_of(path)
    if room in DOORS:
        return
    floor, packages = table[room]
    for origin, name in imports_of(path):
        if origin == "nfcodec":
            if name in table:
                assert table[name][0] <= floor, f"{room} (floor {floor}) imports {name} (floor {table[name][0]})"
        else:
            assert name in sys.stdlib_module_names | packages or any(name in p for f, p in table.values() if f < floor), (
                f"{room} imports {name}, which ARCHITECTURE.md does not name for it"
            )


def test_torch_is_imported_by_the_encoder_only():
    importers = {room_of(path) for path in MODULES if ("", "torch") in imports_of(path)}
    assert "fit" in importers
    assert importers <= TORCH_ROOMS


def test_the_walk_sees_relative_and_inner_imports(tmp_path, monkeypatch):
    path = PACKAGE / "cli" / "decode.py"
    assert ("nfcodec", "export") in imports_of(path)  # from ..export import, inside a function
    assert ("nfcodec", "errors") in imports_of(path)
    assert ("nfcodec", "field") not in imports_of(path)  # for types only
    assert ("nfcodec", "header") in imports_of(PACKAGE / "decode.py")  # from . import container, header


def file_of(name):
    return name.replace("-", "_") + ".py"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_its_four_places(name):
    assert (PACKAGE / "activations" / file_of(name)).is_file()
    assert (PACKAGE / "fit" / "activations" / file_of(name)).is_file()
    section = (ROOT / "spec" / "format.md").read_text().split("\n## 6. Network\n")[1].split("\n## 7.")[0]
    assert re.search(rf"^\| {name} \|", section, re.M), f"section 6 of format.md has no row for the activation {name}"


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_has_its_four_places(name):
    assert (PACKAGE / "encodings" / file_of(name)).is_file()
    assert (PACKAGE / "fit" / "encodings" / file_of(name)).is_file()
    spec = "\n".join(path.read_text() for path in sorted((ROOT / "spec").glob("*.md")))
    headings = [line.lower() for line in spec.splitlines() if line.startswith("#")]
    assert any(re.search(rf"\b{name}\b", line) for line in headings), f"no section of spec/ is about the {name} encoding"


@pytest.mark.parametrize("room, table", [("encodings", ENCODINGS), ("activations", ACTIVATIONS)])
def test_no_member_is_missing_from_the_registry(room, table):
    shared = ("__init__.py", "composite.py", "coordinates.py", "factors.py", "interpolate.py", "tables.py")
    for folder in (PACKAGE / room, PACKAGE / "fit" / room):
        assert {p.name for p in folder.glob("*.py") if p.name not in shared} == {file_of(name) for name in table}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_outgrows_a_reader(path):
    assert len(path.read_text().splitlines()) <= 440  # "about 400 lines"
