"""What the rules can find, and that they find little where there is nothing."""

import numpy as np
import pytest
from ledger_worlds import beside

from replication.ledger import power
from replication.ledger.families import family
from replication.ledger.measurement import measured
from replication.ledger.rules import judge
from replication.paper import claim


def test_a_world_without_effects_has_at_most_5_per_cent_of_families_with_a_false_verdict():
    rates = power.false_verdicts()
    ours = rates[rates["rule"] == power.TODAY]
    # 5% is the rate by design; that of 4,000 families has a standard error of 0.3 points
    assert (ours["family"].round(2) <= 0.05).all() and ours["family"].mean() <= 0.05
    before = rates[rates["rule"] == power.PAIRED]
    assert (before["family"] > 0.3).all()  # the reason of the change


def test_a_variant_that_varies_more_than_the_rest_is_not_called_an_effect():
    """With the pooled spread alone it would be, in one family of five."""
    random = np.random.default_rng(5)
    spreads = {"baseline": 1.0, **{f"v{i}": 1.0 for i in range(12)}, "wild": 4.0}
    groups = {name: (spread * random.normal(size=5)).tolist() for name, spread in spreads.items()}
    groups["wild"] = [-6.0, -2.0, 0.0, 2.0, 6.0]  # a standard deviation of 4.5
    rates = power.false_verdicts({"made up": family("gap", groups, "baseline")})
    measured = rates[rates["spreads"] == "of made up"].set_index("rule")["family"]
    assert measured[power.POOLED] > 0.2 and measured[power.TODAY] < 0.03 < measured[power.BEFORE]


def test_the_simulation_judges_as_the_ledger_does():
    random = np.random.default_rng(11)
    variants, baseline = random.normal(size=(12, 4, 5)), random.normal(size=(12, 8))
    variants[:, 1:] *= 0.3
    variants[:4, 0] += 2.5  # some effects, so that both answers occur
    said = power.judged(variants, baseline)
    assert said.any() and not said.all()
    assert (said != power.simultaneous(variants, baseline)).any()
    for world in range(len(variants)):
        groups = {f"v{i}": values.tolist() for i, values in enumerate(variants[world])}
        for place, name in enumerate(groups):
            made = beside(groups, name, baseline[world].tolist())
            found = judge(claim("lrn-gain"), made)[0] != "inconclusive"
            assert found == said[world, place]


def test_the_seeds_that_are_needed_find_the_papers_effect_and_one_fewer_does_not():
    random = np.random.default_rng(3)
    groups = {name: random.normal(0, 0.8, 5).tolist() for name in ("baseline", "a", "b", "c")}
    made = beside(groups, "a", groups["baseline"])
    seeds = power.seeds_needed(made)
    assert power._detectable(made, seeds) <= 1.4 < power._detectable(made, seeds - 1)
    assert power.spread_of(made) == pytest.approx(made.family.spread)


def test_no_number_of_seeds_is_given_without_a_size_in_the_paper():
    made = measured("weight-decay", [1.0, 1.1, 1.2], profile="laptop", scale="simulated")
    assert power.seeds_needed(made) is None


def test_a_mean_in_the_range_is_not_enough_for_reproduced():
    targets = {"overlap-gain": claim("overlap-gain").target("top-1")}
    rates = power.false_reproductions(0.3, targets).iloc[0]
    assert rates["before"] > 0.15 and rates["now"] <= 0.05
