"""How long to sample, and in what steps."""

from typing import Any, NamedTuple

from crmlab.arrays import count_problems
from crmlab.errors import SpecError, raise_problems, wrong


class Plan(NamedTuple):
    """How long to sample, and in what steps; as `crmlab.inference.fitting.fit` takes them."""

    draws: int
    tune: int
    chains: int
    target_accept: float
    attempts: int = 1

    @property
    def options(self) -> dict[str, Any]:
        """What the sampler needs to know for one run."""
        return {name: value for name, value in self._asdict().items() if name != "attempts"}

    def check(self) -> None:
        """Raise `SpecError` if an option is wrong."""
        counts = {name: getattr(self, name) for name in ("draws", "tune", "chains", "attempts")}
        problems = count_problems(counts)
        if not (isinstance(self.target_accept, float) and 0 < self.target_accept < 1):
            problems.append(wrong("target_accept", "between 0 and 1", self.target_accept))
        raise_problems(SpecError, "fit", problems)
