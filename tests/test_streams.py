import numpy as np
import pytest
from scipy import stats

from crmlab.errors import SpecError
from crmlab.streams import Streams, _to_uniforms, philox
from tests.oracles import philox as oracle

STREAMS = Streams(seed=7)
N = 2**17
# Bounds below are broken by a perfect generator with probability 1e-6 or less.
FIVE_SIGMA = 5.0


def as_words(numbers):
    return tuple(np.uint64(n) for n in numbers)


# Philox -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "answer"), oracle.KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert oracle.philox(counter, key) == answer
    assert tuple(int(word) for word in philox(as_words(counter), key)) == answer


def test_philox_equals_plain_integers_on_random_counters():
    rng = np.random.default_rng(1)
    counters, keys = rng.integers(2**32, size=(50, 4)), rng.integers(2**32, size=(50, 2))
    for counter, key in zip(counters.tolist(), keys.tolist(), strict=True):
        words = philox(as_words(counter), tuple(key))
        assert tuple(int(word) for word in words) == oracle.philox(counter, key)


# Addresses ----------------------------------------------------------------------------------------


def test_a_uniform_is_the_one_at_its_address():
    largest = 2**32 - 1
    customers, periods = np.array([0, 1, 12_345, largest]), np.array([[0], [1], [largest]])
    found = Streams(seed=42).uniforms("visits", customers, periods, size=5)
    for which in range(5):
        for i, period in enumerate(periods[:, 0].tolist()):
            for j, customer in enumerate(customers.tolist()):
                expected = oracle.uniform(42, "visits", customer, period, which)
                assert found[which, i, j] == expected


@pytest.mark.bits
def test_other_customers_orders_and_blocks_change_nobody():
    crowd = STREAMS.uniforms("visits", np.arange(1000)[:, None], np.arange(12))
    order = np.random.default_rng(1).permutation(1000)
    shuffled = STREAMS.uniforms("visits", order[:, None], np.arange(12))
    block = STREAMS.uniforms("visits", np.arange(700, 800)[:, None], np.arange(3, 9))
    assert np.array_equal(shuffled, crowd[order])
    assert np.array_equal(block, crowd[700:800, 3:9])
    assert STREAMS.uniforms("visits", 750, 5) == crowd[750, 5]


@pytest.mark.bits
def test_asking_for_more_uniforms_leaves_the_first_as_they_were():
    one, four = (STREAMS.uniforms("spend", np.arange(9), 2, size=size) for size in (1, 4))
    assert one.shape == (9,)
    assert four.shape == (4, 9)
    assert np.array_equal(one, four[0])


def test_every_part_of_an_address_counts():
    customers, periods = np.arange(50)[:, None], np.arange(50)
    tables = [
        STREAMS.uniforms("visits", customers, periods, size=2),
        STREAMS.uniforms("spend", customers, periods, size=2),
        Streams(seed=8).uniforms("visits", customers, periods, size=2),
    ]
    assert len(np.unique(np.stack(tables))) == 3 * 2 * 50 * 50


def test_seed_and_purpose_do_not_run_into_each_other():
    assert Streams(1).uniforms("2/x", 0, 0) != Streams(12).uniforms("/x", 0, 0)
    assert Streams(1).uniforms("1", 0, 0) != Streams(11).uniforms("", 0, 0)


# Chance -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    """Uniforms of many customers, in two periods, for two purposes, two for each address."""
    purposes = [STREAMS.uniforms(p, np.arange(N)[:, None], [0, 1], 2) for p in ("visits", "spend")]
    return np.stack(purposes)


def test_uniforms_are_uniform(sample):
    # Dvoretzky, Kiefer and Wolfowitz with Massart's constant: P(D > d) <= 2 exp(-2 n d^2).
    bound = np.sqrt(np.log(2 / 1e-6) / (2 * N))
    steps = np.arange(N + 1) / N
    for values in sample.transpose(0, 1, 3, 2).reshape(-1, N):
        ordered = np.sort(values)
        gap = max(np.abs(ordered - steps[1:]).max(), np.abs(ordered - steps[:-1]).max())
        assert gap < bound


def test_every_bit_is_a_fair_coin(sample):
    bits = (sample[0, 0, :, 0] * 2.0**52).astype(np.uint64)
    ones = np.array([((bits >> np.uint64(k)) & np.uint64(1)).sum() for k in range(52)])
    assert (np.abs(ones - N / 2) < FIVE_SIGMA * np.sqrt(N) / 2).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((0, 0, slice(1, None), 0), (0, 0, slice(None, -1), 0), id="next customer"),
        pytest.param((0, 0, slice(None), 0), (0, 0, slice(None), 1), id="next period"),
        pytest.param((0, 0, slice(None), 0), (0, 1, slice(None), 0), id="second uniform"),
        pytest.param((0, 0, slice(None), 0), (1, 0, slice(None), 0), id="other purpose"),
    ],
)
def test_neighbours_are_independent(sample, one, other):
    pair = np.stack([sample[one], sample[other]])
    n = pair.shape[1]
    # Correlation of independent uniforms has standard deviation 1 / sqrt(n).
    assert abs(np.corrcoef(pair)[0, 1]) < FIVE_SIGMA / np.sqrt(n)
    counts, _, _ = np.histogram2d(*pair, bins=16, range=[(0, 1), (0, 1)])
    chi_square = ((counts - n / 256) ** 2 / (n / 256)).sum()
    assert chi_square < stats.chi2.isf(1e-6, 255)


def test_zero_and_one_never_occur():
    word = np.uint64(2**32 - 1)
    zeros, ones = np.zeros(4, dtype=np.uint64), np.full(4, word)
    assert _to_uniforms(tuple(zeros))[0] == 2.0**-53
    assert _to_uniforms(tuple(ones))[0] == 1 - 2.0**-53


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_seed_is_a_non_negative_integer(seed):
    with pytest.raises(SpecError, match="Streams: `seed` must be a whole number of at least 0"):
        Streams(seed=seed)


@pytest.mark.parametrize("address", [-1, 2**32, 0.5, [0, -3]])
def test_an_address_has_32_bits(address):
    for customers, periods in ((address, 0), (0, address)):
        with pytest.raises(SpecError, match="integers from 0 to 2\\*\\*32 - 1"):
            STREAMS.uniforms("visits", customers, periods)


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_size_is_a_whole_number_of_at_least_1(size):
    with pytest.raises(SpecError, match="uniforms: `size` must be a whole"):
        STREAMS.uniforms("visits", 0, 0, size=size)
