"""Value of a million customers under 200 posterior draws: seconds and memory.

    python -m benchmarks.value                        # 1,000,000 customers x 200 draws, K = 10
    python -m benchmarks.value --customers 50000      # a short look

What is timed: the value of every stage under every draw, every customer's mean and 90 % interval,
and the base's total under every draw. "one law" gives each customer one set of stage probabilities
(observed stages, or averaged over draws); "law by draw" makes another one under every draw, block
by block, by one step of the filter. Set-up is not timed.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crmlab.stages import K10, K10_MARGINS
from crmlab.value import BaseValue, per_year, stage_value, value_in_blocks

QUARTERLY = per_year(0.10).per_period("Q")


def draw_matrices(n_draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws around the teaching matrix, (draws, K, K)."""
    matrices = np.zeros((n_draws, *K10.shape))
    for i, row in enumerate(K10):
        matrices[:, i, row > 0] = rng.dirichlet(200 * row[row > 0], size=n_draws)
    return matrices


def one_law(P: NDArray, laws: NDArray) -> BaseValue:
    """Value customers whose stage probabilities are the same under every draw."""
    values = stage_value(P, K10_MARGINS, discount_rate=QUARTERLY, first="current")
    return value_in_blocks(laws, values)


def law_by_draw(P: NDArray, laws: NDArray, step: int) -> BaseValue:
    """Value customers whose stage probabilities are filtered anew under every draw."""
    values = stage_value(P, K10_MARGINS, discount_rate=QUARTERLY, first="current")
    rates = np.linspace(0.2, 3.0, K10.shape[0])

    def blocks() -> Iterator[NDArray]:
        for first in range(0, len(laws), step):
            ahead = laws[first : first + step] @ P  # (draws, n, K)
            ahead *= np.exp(-rates)
            ahead /= ahead.sum(axis=-1, keepdims=True)
            yield ahead

    return value_in_blocks(blocks(), values)


def peak_gib() -> float:
    """Largest memory of this process so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def report(name: str, seconds: float, found: BaseValue, n_draws: int) -> None:
    """Print one line."""
    pairs = len(found.mean) * n_draws / seconds / 1e6
    total, low, high = found.total.mean(), *np.quantile(found.total, [0.05, 0.95])
    print(
        f"{name:<12} {seconds:8.1f} s  {pairs:7.1f} M customer-draws/s  peak {peak_gib():.2f} GiB  "
        f"equity {total / 1e6:,.2f} M ({low / 1e6:,.2f} to {high / 1e6:,.2f})"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--step", type=int, default=2_000, help="customers per block, law by draw")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    P = draw_matrices(options.draws, rng)
    laws = rng.dirichlet(np.full(len(K10), 0.3), size=options.customers)
    print(f"{options.customers:,} customers x {options.draws} draws x {len(K10)} stages")
    runs = {
        "one law": lambda: one_law(P, laws),
        "law by draw": lambda: law_by_draw(P, laws, options.step),
    }
    for name, run in runs.items():
        start = time.perf_counter()
        found = run()
        report(name, time.perf_counter() - start, found, options.draws)


if __name__ == "__main__":
    main()
