"""The arrows of the design: who may import whom, checked on the syntax tree of every module."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "streamseg"
FILES = {"errors", "addresses", "files"}
DATA = FILES | {"pictures", "structures", "geometry", "masks", "scene", "source_state", "encoded"}
ENGINE = {"errors", "engine_contract", "engines", "segmenter"}

# Room → rooms of streamseg it may import: every folder and every module of the root, none left out.
ROOMS: dict[str, set[str]] = {
    "__init__": {"version", "errors", "structures", "jobs"},
    "__main__": {"cli"},
    # leaves
    "version": set(),
    "errors": {"source_state"},
    "source_state": set(),
    "encoded": set(),
    "addresses": set(),
    "files": {"errors", "addresses"},
    "pictures": {"files"},
    "metrics": set(),
    "progress": set(),
    "structures": {"masks"},
    "scene": set(),
    "settings": {"errors"},
    "engine_contract": {"errors"},
    "geometry": {"structures"},
    "masks": set(),
    "segmenter": {"errors", "structures", "geometry", "masks", "engine_contract"},
    # a generic one, and the parts of a run, blind to each other
    "pipeline": {"errors", "metrics"},
    "capture": DATA,
    "tracking": DATA,
    "events": DATA | {"settings"},
    "records": DATA,
    "overlay": DATA,
    "sinks": DATA | {"records"},
    # networks and engines
    "models": FILES | {"engine_contract", "version"},
    "zoo": FILES | {"progress"},
    "engines": FILES | {"engine_contract", "models"},
    "export": FILES | {"engine_contract", "models", "engines"},
    "compile": FILES | ENGINE | {"capture", "settings", "progress"},
    # proof
    "datasets": DATA | {"overlay", "progress"},
    "training": DATA | {"models", "datasets"},
    "evaluation": DATA | ENGINE | {"datasets", "overlay", "records"},
    "certification": DATA | ENGINE | {"evaluation", "overlay", "version"},
    # use
    "serving": DATA,
    "streaming": DATA
    | ENGINE
    | {"serving", "capture", "tracking", "events", "overlay", "records", "sinks", "pipeline"}
    | {"metrics", "settings", "version"},
    "bundled": DATA | ENGINE | {"models", "datasets", "training", "evaluation"},
    "jobs": DATA
    | ENGINE
    | {"capture", "events", "overlay", "records", "sinks", "streaming", "tracking", "progress", "version"}
    | {"models", "zoo", "export", "compile", "datasets", "training", "evaluation", "certification"},
    "cli": FILES
    | {"progress", "settings", "jobs", "streaming", "zoo", "compile", "certification"}
    | {"datasets", "evaluation", "engine_contract"},
}

START_UP = {"cli", "__main__"}
"""A verb loads what it needs and no more."""

# Vendor package → rooms that may import it.
VENDORS: dict[str, set[str]] = {
    "threading": {"pipeline"},
    "torch": {"models", "export", "training", "datasets", "evaluation", "engines", "bundled"},
    "torchvision": {"models", "training", "datasets"},
    "onnx": {"export", "compile", "models"},
    "onnxruntime": {"engines", "compile", "export"},
    "openvino": {"engines"},
    "tensorrt": {"engines", "compile"},
    "cuda": {"engines"},
    "av": {"capture", "sinks", "jobs"},
    "yaml": {"settings", "datasets"},
    "requests": {"zoo", "sinks"},
    "paho": {"sinks"},
    "opentelemetry": {"sinks"},
    "confluent_kafka": {"sinks"},
    "filelock": {"zoo", "training"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "websockets": {"serving"},
    "prometheus_client": {"serving"},
    "typer": {"cli"},
    "rich": {"cli"},
}
# Packages that a core installation lacks, or that one runtime needs: what imports them is imported late.
MAY_BE_MISSING = {"torch", "torchvision", "onnx", "onnxscript", "tensorrt", "cuda", "openvino", "onnxruntime"}
MAY_BE_MISSING |= {"paho", "confluent_kafka", "pycocotools", "trackeval", "requests", "filelock"}
MAY_BE_MISSING |= {"opentelemetry", "starlette", "uvicorn", "websockets", "prometheus_client"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    _, *inside = module.split(".")
    return inside[0] if inside else "__init__"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names, ours as they are called where they lie."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: relative import"
        assert node.module
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            yield full if full in MODULES else node.module


@cache
def imports(module: str) -> frozenset[str]:
    """All of them, deferred ones and those for types only included."""
    return frozenset(name for node in ast.walk(tree(module)) for name in imported(node))


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def no_cycle(graph: Mapping[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_the_table_knows_every_room() -> None:
    assert {room(module) for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_table(module: str) -> None:
    here = room(module)
    for name in imports(module):
        top = name.split(".")[0]
        if top == "streamseg":
            assert name in MODULES, f"{module} imports {name}, which is not there"
            assert room(name) == here or room(name) in ROOMS[here], f"{here} may not import {name}"
        else:
            assert top not in VENDORS or here in VENDORS[top], f"{here} may not import {name}"


def test_no_cycle_among_rooms() -> None:
    no_cycle({here: there - {here} for here, there in ROOMS.items()})


def test_no_cycle_among_modules() -> None:
    no_cycle({module: ours(module) - {module} for module in MODULES})


def test_every_arrow_of_the_table_is_used() -> None:
    drawn = {(room(module), room(name)) for module in MODULES for name in ours(module)}
    named = {(here, there) for here, rooms in ROOMS.items() for there in rooms}
    shared = DATA | ENGINE  # given to several rooms as a set
    assert {(here, there) for here, there in named - drawn if there not in shared} == set()


def test_families_are_blind_to_each_other() -> None:
    shared = {"backbones", "weights"}
    folders = {p.name for p in (PACKAGE / "models").iterdir() if (p / "__init__.py").is_file()} - shared
    for module in MODULES:
        parts = module.split(".")
        if parts[:2] == ["streamseg", "models"] and len(parts) > 3 and parts[2] in folders:
            others = {name.split(".")[2] for name in ours(module) if len(name.split(".")) > 3}
            assert not (others & folders) - {parts[2]}, module


def needs_an_extra(module: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether it, or what it imports at once, has a use for a package that may be missing."""
    if any(name.split(".")[0] in MAY_BE_MISSING for name in imports(module)):
        return True
    for node in tree(module).body:
        for name in imported(node):
            if name in MODULES and name not in seen and needs_an_extra(name, seen | {module}):
                return True
    return False


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) not in START_UP])
def test_imports_are_deferred_for_a_missing_package_only(module: str) -> None:
    at_top = {id(node) for node in tree(module).body}
    at_top |= {
        id(node)
        for block in tree(module).body
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in block.body
    }
    for node in ast.walk(tree(module)):
        if id(node) not in at_top:
            for name in imported(node):
                if name in MODULES:
                    assert needs_an_extra(name), f"{module}:{node.lineno}: {name} can be imported at the top"


def test_one_word_means_one_thing() -> None:
    """No two public classes or functions of one name; verbs of the command line name their jobs."""
    places = Counter(
        node.name
        for module in MODULES
        if room(module) != "cli"
        for node in tree(module).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    )
    assert {name for name, count in places.items() if count > 1} == {"main"}


@pytest.mark.parametrize("module", MODULES)
def test_text_is_decoded_as_what_it_is(module: str) -> None:
    """By default a file is decoded by the locale, which a library set to C in the middle of a run."""
    calls = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"read_text", "write_text"}:
            assert "encoding" in [keyword.arg for keyword in call.keywords], ast.unparse(call)


@pytest.mark.parametrize("module", MODULES)
def test_names_and_sizes(module: str) -> None:
    path = MODULES[module]
    assert path.stem not in {"utils", "common", "helpers", "misc", "types", *VENDORS}
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", [m for m in MODULES if MODULES[m].stem != "__init__"])
def test_every_module_has_or_names_its_test(module: str) -> None:
    """test_NAME.py in tests/ROOM, for NAME.py; else the docstring says in which file, and it is there."""
    here, stem = room(module), MODULES[module].stem
    in_root = MODULES[module].parent == PACKAGE
    own = list((TESTS if in_root else TESTS / here).glob(f"{'' if in_root else '**/'}test_{stem}.py"))
    named = re.findall(r"Tested in (tests/\S+)\.(?=\s|$)", ast.get_docstring(tree(module)) or "")
    for name in named:
        assert (TESTS.parent / name).is_file(), f"{module} names {name}, which is not there"
    assert own or named, f"{module}: write tests/{here}/test_{stem}.py, or `Tested in tests/….py.` here"


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def run_blocked(code: str, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    script = BLOCKED.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=500)


def test_import_and_help_need_no_heavy_package() -> None:
    code = "import streamseg, streamseg.cli; sys.argv = ['streamseg', '--help']; streamseg.cli.main()"
    done = run_blocked(code, {"torch", "torchvision", "tensorrt", "onnx", "openvino", "onnxruntime"})
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
    assert "export" in done.stdout


def test_import_loads_only_the_standard_library() -> None:
    heavy = {"numpy", "cv2", "av", "torch", "scipy", "pydantic"}
    code = f"import streamseg; print(sorted({{n.split('.')[0] for n in sys.modules}} & {heavy}))"
    done = run_blocked(code, set())
    assert done.stdout.strip() == "[]", done.stderr
