"""What was run at the paper's own scale and below it, for the tests of the ledger."""

from collections.abc import Mapping, Sequence

from replication.ledger.families import family
from replication.ledger.measurement import Measurement, measured
from replication.ledger.scale import Ran
from replication.paper import claim, paper_scale

TINY = Ran(
    data="tiny-imagenet-100",
    fingerprint="0" * 16,
    images=15_000,
    classes=100,
    side=56,
    net={"family": "alexnet", "width": 0.25, "init": "same_variance", "sixth_conv": False},
)


def beside(
    groups: Mapping[str, Sequence[float]], name: str, baseline: Sequence[float]
) -> Measurement:
    """Return the measured gain of a variant of ``groups`` beside ``baseline``, in their family."""
    return measured(
        "lrn-gain",
        groups[name],
        subtracted=baseline,
        family=family("top-1", {**groups, "baseline": baseline}, "baseline"),
        member=name,
        variant="top-1",
        profile="laptop",
        scale="simulated",
        ran=TINY,
    )


def full(claim_id: str) -> Ran:
    """Return a run at the claim's own scale."""
    wanted = paper_scale(claim(claim_id).scale)
    return Ran(
        data=(wanted.data or ("fall2009",))[0],
        fingerprint=(wanted.fingerprints or ("0" * 16,))[0],
        images=wanted.images,
        classes=wanted.classes,
        side=wanted.side,
        net={name: values[0] for name, values in wanted.net.items()},
        target_error=wanted.target_error,
        epochs=wanted.epochs,
        pretrained_classes=wanted.pretrained_classes,
    )
