"""Actions with uncertain effects: one matrix per action and posterior draw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.actions import Action, action_matrices
from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace

Key = str | tuple[str, str]
EffectDraws = Mapping[Key, ArrayLike | xr.DataArray]


def draw_action_matrices(
    matrices: xr.DataArray,
    space: StageSpace,
    actions: Sequence[Action],
    effects: Mapping[str, EffectDraws],
) -> Floats:
    """Transition matrices without and with each action, one per draw, for `choose_policy`.

    Parameters
    ----------
    matrices : DataArray (chain, draw, stage_from, stage_to)
        Draws of the matrix without action.
    space : StageSpace
    actions : sequence of Action
    effects : mapping of action to mapping of move to draws
        As in `decide`.

    Returns
    -------
    ndarray (chain x draw, 1 + n_actions, K, K)

    Raises
    ------
    SpecError
        Effects that name no action, or draws that do not fit those of the matrices.

    Examples
    --------
    >>> space = StageSpace(("dormant", "active"))
    >>> P = xr.DataArray(
    ...     np.full((1, 2, 2, 2), 0.5), dims=("chain", "draw", "stage_from", "stage_to"),
    ...     coords={"chain": [0], "draw": [0, 1]},
    ... )
    >>> mail = Action("mail", effects={"forward": 0.0})
    >>> draws = {"mail": {"forward": np.log([1.0, 3.0])}}
    >>> draw_action_matrices(P, space, (mail,), draws)[:, 1, 0]
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    raise_problems(SpecError, "decide", list(_naming_problems(actions, effects)))
    flat = matrices.values.reshape(-1, len(space), len(space))
    doubtful = {
        name: {key: _one_per_draw(name, key, values, matrices) for key, values in draws.items()}
        for name, draws in effects.items()
    }
    if not doubtful:
        return np.moveaxis(action_matrices(flat, space, actions), 0, 1)
    return np.stack(
        [
            action_matrices(P, space, [_at(a, doubtful.get(a.name, {}), i) for a in actions])
            for i, P in enumerate(flat)
        ]
    )


def _at(action: Action, draws: Mapping[Key, NDArray], place: int) -> Action:
    """Return the action with the numbers of one draw."""
    drawn = {key: float(values[place]) for key, values in draws.items()}
    added = dict(action.adds)
    chances = {key: value for key, value in drawn.items() if key in added}
    shifts = {key: value for key, value in drawn.items() if key not in added}
    return replace(action, effects={**dict(action.effects), **shifts}, adds={**added, **chances})


def _naming_problems(
    actions: Sequence[Action], effects: Mapping[str, EffectDraws]
) -> Iterator[str]:
    names = [action.name for action in actions]
    for name, draws in effects.items():
        if name not in names:
            yield f"`effects` names the unknown action {name!r}; the actions are {names}"
        elif not isinstance(draws, Mapping):
            yield f"`effects` of {name!r} must map moves to draws, got {type(draws).__name__}"


def _one_per_draw(name: str, key: Key, values: object, matrices: xr.DataArray) -> NDArray:
    """Draws of one effect in the order of those of the matrices, flattened."""
    n_draws = matrices.sizes["chain"] * matrices.sizes["draw"]
    if isinstance(values, xr.DataArray) and {"chain", "draw"} & set(values.dims):
        chosen = _paired(name, key, values, matrices)
    else:
        given = np.asarray(values, dtype=float)
        if given.ndim != 1 or not given.size:
            raise SpecError(
                f"decide: `effects` of {name!r} at {key!r} must have shape (n_draws,), or dims "
                f"chain and draw, got shape {given.shape}"
            )
        # A separate posterior, independent of the matrices: any pairing is valid. This one is even,
        # and repeats draws where there are fewer than matrices; `spread_evenly` never repeats.
        places = np.linspace(0, len(given) - 1, n_draws).round().astype(int)
        chosen = given[places]
    if not np.isfinite(chosen).all():
        raise SpecError(f"decide: `effects` of {name!r} at {key!r} must be finite")
    return chosen


def _paired(name: str, key: Key, values: xr.DataArray, matrices: xr.DataArray) -> NDArray:
    lacking = [
        dim
        for dim in ("chain", "draw")
        if dim not in values.dims or not np.isin(matrices[dim], values[dim]).all()
    ]
    if lacking or values.ndim != 2:
        raise SpecError(
            f"decide: `effects` of {name!r} at {key!r} needs dims chain and draw that hold the "
            f"draws of the fit, got {values.dims}; without these dims it is a posterior of its own"
        )
    chosen = values.sel(chain=matrices["chain"], draw=matrices["draw"])
    return chosen.transpose("chain", "draw").values.ravel()
