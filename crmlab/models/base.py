"""What every stage model is: a specification that turns a panel into a PyMC model."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import xarray as xr

from crmlab.channels import Channel
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    import pymc as pm


class StageModel(ABC):
    """A model of stages: hyper-parameters only, never data.

    A subclass is a frozen dataclass with the fields `space` and `channels` (or a property of that
    name) and with `build`. Its posterior must hold ``initial_probs (stage)``,
    ``<channel>_<parameter> (stage)``, and ``transition_matrix (stage_from, stage_to)`` or what the
    matrices are made of; everything after the fit reads those names and nothing else.
    """

    space: StageSpace
    channels: tuple[Channel, ...]

    @abstractmethod
    def check(self, panel: xr.Dataset) -> None:
        """Raise `DataError`, with all problems at once, unless the panel can be read."""

    @abstractmethod
    def build(self, panel: xr.Dataset) -> "pm.Model":
        """Posterior of this model given the panel, as an unsampled PyMC model."""

    @property
    def default_method(self) -> str:
        """How `crmlab.fit` fits this model unless told otherwise."""
        return "nuts"

    @property
    def posterior_names(self) -> tuple[str, ...]:
        """Variables that the posterior holds."""
        emissions = tuple(
            f"{channel.name}_{parameter}"
            for channel in self.channels
            for parameter in channel.parameter_names
        )
        law = getattr(self, "transitions", None)
        moves = law.posterior_names(self.space) if law else ("transition_matrix",)
        return ("initial_probs", *moves, *emissions)


def coords(space: StageSpace) -> dict[str, list[str]]:
    """Coordinates of a posterior over this space."""
    names = list(space.names)
    return {"stage": names, "stage_from": names, "stage_to": names}
