"""The arrows of the design: who may import whom, checked on the syntax tree of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "streamseg"
BASE = {"structures", "errors"}

# Room → rooms of streamseg it may import. A package's own modules are always allowed.
ALLOWED: dict[str, set[str]] = {
    "__init__": {"streaming", "structures", "errors", "config"},
    "__main__": {"cli"},
    "structures": set(),
    "errors": set(),
    "addresses": set(),
    "files": {"errors", "addresses"},
    "metrics": set(),
    "bundled": set(),
    "geometry": {"structures"},
    "masks": {"structures", "geometry"},
    "scene": {"structures"},
    "config": {"errors"},
    "models": {"errors"},
    "zoo": {"errors"},
    "export": {"models", "engines", "errors", "__init__"},
    "engines": BASE | {"models", "export", "bundled", "zoo"},
    "segmenter": BASE | {"engines"},
    "calibration": BASE | {"capture", "engines", "segmenter"},
    "capture": BASE | {"scene", "addresses", "files"},
    "tracking": BASE | {"geometry", "masks"},
    "overlay": BASE | {"geometry", "masks"},
    "sinks": BASE | {"geometry", "masks", "addresses", "files"},
    "pipeline": {"errors", "metrics"},
    "datasets": BASE | {"models", "geometry", "masks", "overlay", "scene"},
    "training": BASE | {"models", "datasets", "geometry", "masks", "scene"},
    "evaluation": BASE
    | {"models", "engines", "datasets", "geometry", "masks", "overlay", "scene", "segmenter"},
}
UNRESTRICTED = {"app", "engine_files", "outputs", "published", "report", "stages", "streaming", "demo"}
UNRESTRICTED |= {"certificate", "certify", "cli", "doctor", "engine_build", "evaluate", "recipes"}
UNRESTRICTED |= {"train", "train_data"}

# Vendor package → rooms that may import it.
VENDORS: dict[str, set[str]] = {
    "threading": {"pipeline"},
    "torch": {"models", "export", "training", "datasets", "evaluation", "engines"},
    "torchvision": {"models", "training", "datasets"},
    "onnx": {"export", "engines"},
    "onnxruntime": {"engines", "export"},
    "openvino": {"engines"},
    "tensorrt": {"engines"},
    "cuda": {"engines"},
    "av": {"capture", "sinks", "doctor"},
    "yaml": {"config", "datasets"},
    "requests": {"zoo"},
    "filelock": {"zoo", "training"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "streamseg"}
    return names


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_design(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "streamseg":
            there = rest[0] if rest else "__init__"
            if not (PACKAGE / there).exists() and not (PACKAGE / f"{there}.py").exists():
                there = "__init__"  # an attribute of the root, such as __version__
            known = here in UNRESTRICTED or there == here or there in ALLOWED[here]
            root_only = there == "__init__" and name in ("streamseg", "streamseg.__version__")
            assert known or root_only, f"{here} may not import {name}"
        elif top in VENDORS and here not in VENDORS[top]:
            pytest.fail(f"{here} may not import {name}")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_names_and_sizes(path: Path) -> None:
    assert path.stem not in {"utils", "common", "helpers", "misc", "types", *VENDORS}
    assert len(path.read_text().splitlines()) <= 400


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
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


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
