"""The names of scales, splits and devices that several rooms use."""

from typing import Literal, get_args

Profile = Literal["quick", "laptop", "gpu", "paper"]
PROFILES: tuple[Profile, ...] = get_args(Profile)  # from the smallest scale to the paper's own
PUBLISHED = PROFILES[1:]  # quick is synthetic and never published
# val: beside a test set, as in ILSVRC-2010; unused: training images that data.count leaves out
Split = Literal["train", "validation", "test", "val", "unused"]
Device = Literal["cpu", "cuda"]
