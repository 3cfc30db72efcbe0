"""The benchmark that measures parity, and the reference outputs it needs."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def parity() -> Iterator[ModuleType]:
    """benchmarks/parity.py as a module."""
    pytest.importorskip("torch", reason="needs the extra `models`")
    path = Path(__file__).parents[2] / "benchmarks" / "parity.py"
    sys.path.insert(0, str(path.parent))  # a script finds the modules beside it there
    spec = importlib.util.spec_from_file_location("benchmark_parity", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
    sys.path.remove(str(path.parent))


@pytest.fixture(scope="session")
def reference(shared_dir: Path) -> Path:
    """The folder of reference outputs."""
    return shared_dir / "reference"


@pytest.fixture(scope="session")
def script_of(parity: ModuleType) -> Callable[[str], ModuleType]:
    """A script beside benchmarks/parity.py as a module; `parity` has put its folder on the path."""

    def loaded(name: str) -> ModuleType:
        path = Path(str(parity.__file__)).parent / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault("parity", parity)
        spec.loader.exec_module(module)
        return module

    return loaded
