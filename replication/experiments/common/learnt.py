"""Stored runs of the baseline that has learnt, for a page of the first baseline."""

from collections.abc import Iterable, Sequence

from replication.base.types import Profile
from replication.experiments.common.baselines import BASELINE, task
from replication.runs.store import Run, complete


def learnt_runs(profile: Profile, variants: Iterable[str], seeds: Sequence[int]) -> list[Run]:
    """Return the baseline's runs and those of each variant of which every seed is stored.

    It is empty without the baseline, and without any such variant."""
    found = {
        variant: complete([task(profile, variant, seed, "learnt") for seed in seeds])
        for variant in dict.fromkeys((BASELINE, *variants))
    }
    whole = {variant: runs for variant, runs in found.items() if runs and len(runs) == len(seeds)}
    if BASELINE not in whole or len(whole) == 1:
        return []
    return [one for runs in whole.values() for one in runs]
