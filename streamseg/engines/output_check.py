"""Whether tensors are those of the contract: as a file declares them, and as a runtime first gives them.

Tested in tests/engines/test_faults.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamseg.engine_contract import (
    INPUT_NAME,
    OPTIONAL_OUTPUTS,
    OUTPUT_NAMES,
    EngineInfo,
    EngineOutputs,
    TensorSpec,
    contract_tensors,
    shortened,
)

__all__ = ["declared_problem", "outputs_problem"]

OTHER = "its tensors are not those of the engine contract"


def declared_problem(
    inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], info: EngineInfo
) -> str:
    """What of the tensors that a file declares is against the contract; empty: nothing."""
    if list(inputs) != [INPUT_NAME]:
        return f"{OTHER}: inputs are {_listed(inputs)}, expected {INPUT_NAME}"
    expected = contract_tensors(info)
    if not inputs[INPUT_NAME].agrees(expected[INPUT_NAME]):
        return f"{OTHER}: {INPUT_NAME} is {inputs[INPUT_NAME]}, expected {expected[INPUT_NAME]}"
    missing = [name for name in OUTPUT_NAMES if name not in outputs]
    strange = [name for name in outputs if name not in (*OUTPUT_NAMES, *OPTIONAL_OUTPUTS)]
    if missing or strange:
        return f"{OTHER}: outputs are {_listed(outputs)}, expected {', '.join(OUTPUT_NAMES)}"
    for name, found in outputs.items():
        if not found.agrees(expected[name]):
            return f"{OTHER}: {name} is {found}, expected {expected[name]}"
    return ""


def outputs_problem(outputs: EngineOutputs, batch: int, info: EngineInfo) -> str:
    """What of the results for `batch` frames is against the contract; empty: nothing. Looks at types, shapes
    and `count`, not at the rows."""
    expected = contract_tensors(info)
    arrays = outputs.arrays()
    for name, array in arrays.items():
        want = expected[name]
        want = TensorSpec(name, (batch, *(want.shape or ())[1:]), want.dtype)
        found = TensorSpec(name, array.shape, array.dtype.name)
        if not found.agrees(want):
            return f"output {name} is {found}, expected {want}"
    shapes = {array.shape for array in (outputs.semantic, outputs.segments) if array is not None}
    if len(shapes) > 1:
        return f"outputs semantic and segments are of two sizes, {' and '.join(map(str, shapes))}"
    wrong = outputs.count[(outputs.count < 0) | (outputs.count > info.max_detections)]
    return f"output count is {int(wrong[0])}, expected 0 to {info.max_detections}" if wrong.size else ""


def _listed(tensors: Mapping[str, TensorSpec]) -> str:
    return ", ".join(shortened(name)[1:-1] for name in list(tensors)[:10]) or "none"
