"""The runs of an experiment that do not depend on results that are still missing.

An experiment lists all runs that it may train. Some of its recipes are placeholders until a result
is known: a rate that a search chooses, or a constant that is measured in a trained net. To train a
placeholder would be a waste."""

from replication.base.models import Frozen
from replication.experiments import lrn_cifar_nets, relu_vs_tanh
from replication.experiments.candidates import RACE
from replication.experiments.common.contract import Experiment
from replication.experiments.figure1 import candidates, reporting, search
from replication.runs.store import Task


def decided_tasks(experiment: Experiment, settings: Frozen) -> list[Task]:
    """Return the runs of an experiment whose recipes are final."""
    if isinstance(settings, relu_vs_tanh.Settings):
        return _figure1(settings)
    if isinstance(settings, lrn_cifar_nets.Settings):
        return _norms(settings)
    return experiment.tasks(settings)


def _figure1(settings: relu_vs_tanh.Settings) -> list[Task]:
    """Return each search's next run, or the reporting runs at the rate that it chose."""
    tasks = []
    for candidate in candidates(settings):
        for kind in candidate.kinds:
            found = search(settings, candidate, kind)
            if (wanted := found.next_task()) is not None:
                tasks.append(wanted)
            elif found.rate:
                tasks += reporting(settings, candidate, kind, found.rate)
                if settings.rates_beside and candidate is RACE:
                    for rate in found.beside:
                        tasks += relu_vs_tanh.reporting_beside(settings, kind, rate)
    return tasks


def _norms(settings: lrn_cifar_nets.Settings) -> list[Task]:
    """Return section 3.3's nets but those that need another net's weights, which stay on a machine.

    A second part of a training begins with the weights of the first. The constant gains are
    measured in the net of ``gain_seed``; once they are stored, they need no weights."""
    gains = lrn_cifar_nets.stored_gains(settings)
    left_out = set(lrn_cifar_nets.AUTHORS_PARTS)
    if not gains:
        left_out.add(lrn_cifar_nets.GAIN)
    return [
        task
        for task in lrn_cifar_nets.tasks(settings, gains)
        if lrn_cifar_nets.variant_of(task.recipe) not in left_out
        and (gains or task.recipe.seed != settings.gain_seed)
    ]
