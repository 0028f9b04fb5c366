"""Stored runs of the baseline that has learnt, for a page of the first baseline."""

from collections.abc import Iterable, Sequence

from replication.base.models import Frozen
from replication.base.types import Profile
from replication.experiments.common.baselines import BASELINE, LEARNT, Regime, task
from replication.experiments.common.comparison import MoreSeeds
from replication.runs.store import Run, Task, complete


class Regimes(Frozen):
    """The parameters of an experiment that has two baselines at some scales."""

    profile: Profile
    regime: Regime = "first"  # which baseline, if a profile has two
    # of the learnt regime, beside the first: of these, the stored runs are shown, none is trained
    learnt_seeds: MoreSeeds = ()

    @property
    def seeds_beside(self) -> tuple[int, ...]:
        """The seeds of the learnt regime's runs that a page of the first regime shows.

        Of a profile whose regimes are one, there are none."""
        other = self.regime == "first" and self.profile in LEARNT
        return self.learnt_seeds if other else ()


def learnt_tasks(profile: Profile, variant: str, seeds: Iterable[int]) -> list[Task]:
    """Return the runs of a variant of the baseline that has learnt.

    There are none at a scale whose first baseline has learnt."""
    return [task(profile, variant, seed, "learnt") for seed in seeds] if profile in LEARNT else []


def learnt_runs(profile: Profile, variants: Iterable[str], seeds: Sequence[int]) -> list[Run]:
    """Return the baseline's runs and those of each variant of which every seed is stored.

    It is empty without the baseline, and without any such variant."""
    found = {
        variant: complete(learnt_tasks(profile, variant, seeds))
        for variant in dict.fromkeys((BASELINE, *variants))
    }
    whole = {variant: runs for variant, runs in found.items() if runs and len(runs) == len(seeds)}
    if BASELINE not in whole or len(whole) == 1:
        return []
    return [one for runs in whole.values() for one in runs]
