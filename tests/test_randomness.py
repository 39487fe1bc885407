"""Numbers drawn for many samples at once: each sample's its own, and as random as they should be."""

import numpy as np
from scipy import stats

from vit.randomness import Draws, keys_of

NAMES = [f"train/cat/{i}.jpg" for i in range(20_000)]


def test_the_numbers_of_a_name_depend_on_it_and_the_seed_alone():
    keys = keys_of(NAMES)
    many, few = Draws(keys, 3), Draws(keys[[5, 17]], 3)
    for _ in range(3):
        assert np.array_equal(many.uniform()[[5, 17]], few.uniform())
    assert not np.array_equal(Draws(keys, 4).uniform(), Draws(keys, 3).uniform())


def test_one_draw_of_many_numbers_gives_those_of_many_draws():
    keys = keys_of(NAMES[:3])
    together, apart = Draws(keys, 0), Draws(keys, 0)
    assert np.array_equal(together.bits(4), np.concatenate([apart.bits(1), apart.bits(3)], 1))


def test_numbers_are_uniform_and_independent():
    draws, other_seed = Draws(keys_of(NAMES), 0), Draws(keys_of(NAMES), 1)
    first, second, third = draws.uniform(), draws.uniform(2, 5), other_seed.uniform()
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert stats.kstest((second - 2) / 3, "uniform").pvalue > 1e-3
    for a, b in [(first, second), (first, third), (first[:-1], first[1:])]:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))


def test_whole_numbers_and_events_are_as_likely_as_asked():
    draws = Draws(keys_of(NAMES), 0)
    assert stats.chisquare(np.bincount(draws.below(7), minlength=7)).pvalue > 1e-3
    assert set(draws.below(np.full(len(NAMES), 3))) == {0, 1, 2}
    assert abs(draws.chance(0.3).mean() - 0.3) < 4 * np.sqrt(0.21 / len(NAMES))
    assert not draws.chance(0).any() and draws.chance(1).all()
