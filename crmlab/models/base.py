"""The base class of stage models: a specification that turns a panel into a PyMC model."""

from abc import ABC, abstractmethod
from dataclasses import Field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Floats
from crmlab.channels import Channel
from crmlab.models.observation import SEEN
from crmlab.models.remarks import data_remarks
from crmlab.stages import StageSpace
from crmlab.transitions import StickyDirichlet, TransitionModel

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Variable


class StageModel(ABC):
    """A model of stages: hyper-parameters only, never data.

    A subclass is a frozen dataclass with the fields `space` and `channels` (or a property of that
    name), `transitions` unless all customers share one matrix, and with `build`. Its posterior must
    hold ``initial_probs (stage)``, ``<channel>_<parameter> (stage)``, and
    ``transition_matrix (stage_from, stage_to)`` or what the matrices are made of
    (`TransitionModel.posterior_names`); everything after the fit reads only those.
    """

    __dataclass_fields__: ClassVar[dict[str, Field]]
    space: StageSpace
    transitions: TransitionModel = StickyDirichlet()
    if TYPE_CHECKING:  # while it runs, a property would be the default of a subclass's field

        @property
        @abstractmethod
        def channels(self) -> tuple[Channel, ...]:
            """What is seen of a stage: a field or a property of a subclass."""

    @abstractmethod
    def check(self, panel: xr.Dataset) -> None:
        """Raise `DataError`, with all problems at once, unless the panel can be read."""

    @abstractmethod
    def build(self, panel: xr.Dataset) -> "pm.Model":
        """Posterior of this model given the panel, as an unsampled PyMC model."""

    def merged_loglik(self, built: "pm.Model", panel: xr.Dataset) -> "list[Variable]":
        """Log-likelihood of the variable `SEEN` of a built model, as numbers to be added up.

        They are computed faster than one by one for each customer, from the random variables of the
        built model and the arrays of `read`. Empty if there is no faster way.
        """
        return []

    def log_density(self, built: "pm.Model", panel: xr.Dataset) -> "Variable":
        """Log-density of a built model as samplers need it: a number, of its value variables."""
        import pytensor.tensor as pt

        merged = self.merged_loglik(built, panel)
        if not merged:
            return built.logp()
        others = [v for v in (*built.basic_RVs, *built.potentials) if v.name != SEEN]
        parts = [*built.logp(vars=others, sum=False), *built.replace_rvs_by_values(merged)]
        return pt.sum([pt.sum(part) for part in parts])

    def remarks(self, panel: xr.Dataset) -> list[str]:
        """List what a readable panel says nothing, or too little, about."""
        return data_remarks(panel, self.channels, self.space, self.transitions)

    @property
    def default_method(self) -> str:
        """How `crmlab.fit` fits this model by default."""
        return "nuts"

    @property
    def posterior_names(self) -> tuple[str, ...]:
        """Variables that the posterior holds."""
        emissions = tuple(
            f"{channel.name}_{parameter}"
            for channel in self.channels
            for parameter in channel.parameter_names
        )
        return ("initial_probs", *self.transitions.posterior_names(self.space), *emissions)

    def read(self, panel: xr.Dataset) -> dict[str, NDArray]:
        """Return all arrays of a built model that change with the panel, by name.

        With them a compiled log-posterior can take another panel. Empty if it must be rebuilt.
        """
        return {}

    def sample_exact(
        self, panel: xr.Dataset, size: tuple[int, ...], rng: np.random.Generator
    ) -> dict[str, Floats]:
        """Draw from the posterior, leading axes `size`, where it has a closed form."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form")


def coords(space: StageSpace) -> dict[str, list[str]]:
    """Coordinates of a posterior over this space."""
    names = list(space.names)
    return {"stage": names, "stage_from": names, "stage_to": names}
