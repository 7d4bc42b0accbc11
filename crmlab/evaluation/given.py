"""What the functions of this package are given, checked."""

from collections.abc import Mapping

from numpy.typing import NDArray


def length_problems(arrays: Mapping[str, NDArray]) -> list[str]:
    """Say what is wrong with the lengths of arrays that belong together."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if 0 in lengths.values():
        return [f"nothing to judge: {lengths}"]
    return [] if len(set(lengths.values())) == 1 else [f"lengths differ: {lengths}"]
