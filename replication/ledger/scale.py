"""Whether a run is at the paper's own scale.

The scale is a property of what was run, not of a profile.
``claims.toml`` states the scale of every claim. It is compared with the recipe of a run and the
data card in its provenance (``Run.provenance["data"]``)."""

from collections.abc import Mapping
from typing import Any

from replication.base.models import Frozen
from replication.base.text import counted
from replication.paper import Claim, PaperScale, paper_scale
from replication.paper import claim as find_claim
from replication.recipe import Recipe

NET_FIELDS = {  # the fields of a recipe's net that a scale may name -> what a reader calls them
    "family": "family of nets",
    "name": "net",
    "width": "width of the net",
    "init": "initial weights",
    "sixth_conv": "sixth convolutional layer",
}


class Ran(Frozen):
    """The facts about a run that decide its scale."""

    data: str  # name of the data set
    note: str = ""  # how this copy differs from the original
    fingerprint: str  # of the index of its training images
    images: int  # trained on
    classes: int
    side: int  # of the square that the net sees, pixels
    net: dict[str, str | float]
    target_error: float | None = None  # the training error that was raced to
    epochs: int | None = None  # that its schedule is made for; None: not on record
    pretrained_classes: int | None = None  # of the data that its first weights are from


def describe(recipe: Recipe, card: Mapping[str, Any], target_error: float | None = None) -> Ran:
    """Return what decides the scale of a run.

    ``card``: the data card of its provenance. ``target_error``: the training error at which
    iterations were counted, if the claim is about one."""
    net = recipe.net.model_dump()
    return Ran(
        data=card["name"],
        note=card.get("note") or "",
        fingerprint=card["fingerprint"],
        images=card["images"],
        classes=card["classes"],
        side=recipe.data.side,
        net={name: net[name] for name in NET_FIELDS if name in net},
        target_error=target_error,
        epochs=recipe.epochs,
    )


def brief(ran: Ran, epochs: bool) -> str:
    """Return for a sentence what was run: its images and the net, and at most how many ``epochs``.

    ``epochs`` False: of a number that does not need a whole training."""
    net = ran.net.get("name")
    width = ran.net.get("width", 1.0)
    parts = [
        f"{counted(ran.images, 'image')} of {ran.data}",
        counted(ran.classes, "class"),
        f"inputs of {ran.side} pixels",
        f"net {net}" if net else f"{width:g} of the net's width" if width != 1.0 else "",
        f"at most {counted(ran.epochs, 'epoch')}" if ran.epochs and epochs else "",
    ]
    if ran.pretrained_classes:
        parts.append(f"some nets pre-trained on {counted(ran.pretrained_classes, 'class')}")
    return ", ".join(filter(None, parts))


def shortfalls(claim: Claim | str, ran: Ran | None, variant: str | None = None) -> tuple[str, ...]:
    """Return what keeps a run from the claim's own scale, as text; () at that scale.

    ``ran`` None: what was run is not on record. ``variant``: of the claim's number; None: the
    primary one. A and S claims have no scale: ()."""
    claim = find_claim(claim) if isinstance(claim, str) else claim
    if not (scale := claim.scale_of(variant)):
        return ()
    if ran is None:
        return ("what was run is not on record",)
    return tuple(_differences(paper_scale(scale), ran))


def _differences(wanted: PaperScale, ran: Ran) -> list[str]:
    reasons = []
    if wanted.data and ran.data not in wanted.data:
        reasons.append(f"{ran.data} instead of {' or '.join(wanted.data)}")
    elif wanted.fingerprints and ran.fingerprint not in wanted.fingerprints:
        copy = ran.note or f"fingerprint {ran.fingerprint}"
        reasons.append(f"another copy of {ran.data} ({copy}), or a part of it")
    if ran.images < wanted.images:
        reasons.append(f"{counted(ran.images, 'training image')} instead of {wanted.images:,}")
    if ran.classes != wanted.classes:
        reasons.append(f"{counted(ran.classes, 'class')} instead of {wanted.classes:,}")
    if wanted.side is not None and ran.side != wanted.side:
        reasons.append(f"inputs of {ran.side} instead of {wanted.side} pixels")
    for name, values in wanted.net.items():
        if name not in ran.net or ran.net[name] not in values:
            has = ran.net.get(name, "none")
            reasons.append(f"{NET_FIELDS[name]} {has} instead of {' or '.join(map(str, values))}")
    if wanted.target_error is not None and ran.target_error != wanted.target_error:
        has = "none" if ran.target_error is None else f"{ran.target_error:.0%}"
        reasons.append(f"a target error of {has} instead of {wanted.target_error:.0%}")
    if wanted.epochs is not None:
        if ran.epochs is None:
            reasons.append("the length of its training is not on record")
        elif ran.epochs < wanted.epochs:
            reasons.append(f"{counted(ran.epochs, 'epoch')} instead of {wanted.epochs}")
    if (classes := wanted.pretrained_classes) is not None:
        if ran.pretrained_classes is None:
            reasons.append(f"no pre-training on {classes:,} classes is on record")
        elif ran.pretrained_classes < classes:
            first = counted(ran.pretrained_classes, "class")
            reasons.append(f"pre-trained on {first} instead of {classes:,}")
    return reasons
