"""A stratified sample of customers, which depends only on their ids and the seed."""

import hashlib

import numpy as np
import pandas as pd

from crmlab.arrays import Bools

SAMPLE = 1_200  # customers in a fit, unless the user says otherwise


def draw_sample(histories: pd.DataFrame, size: int, *, seed: int) -> Bools:
    """Draw a stratified sample of customers; the order of the rows does not matter.

    Strata are repeat purchases (0, 1, 2, 3 to 5, 6 or more) by quarter of the window in which a
    customer joined; each is represented in proportion. A smaller sample is part of a larger one.

    Parameters
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, T.
    size : int
        Approximate number of customers to draw.
    seed : int

    Returns
    -------
    boolean ndarray (customer,)

    Examples
    --------
    >>> base = pd.DataFrame({"frequency": [0] * 60 + [9] * 40, "T": 10.0}, index=range(100))
    >>> chosen = draw_sample(base, 10, seed=1)
    >>> chosen[:60].sum(), chosen[60:].sum()
    (np.int64(6), np.int64(4))
    """
    if size >= len(histories):
        return np.ones(len(histories), dtype=bool)
    frequency = np.digitize(histories["frequency"], [1, 2, 3, 6])
    longest = max(float(histories["T"].max()), 1e-9)
    joined = np.minimum((4 * histories["T"].to_numpy(float) / longest).astype(int), 3)
    chance = np.array([_uniform(one, seed) for one in histories.index])
    frame = pd.DataFrame({"stratum": 4 * frequency + joined, "chance": chance})
    place = frame.groupby("stratum")["chance"].rank(method="first")
    count = frame["stratum"].map(frame["stratum"].value_counts())
    return ((place - 0.5) / count < size / len(frame)).to_numpy()


def _uniform(customer_id: object, seed: int) -> float:
    """Return a number in [0, 1) that depends only on the customer and the seed."""
    digest = hashlib.blake2b(f"{seed}|{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
