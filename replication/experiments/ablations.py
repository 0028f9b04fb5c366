"""Sections 3.2 to 3.4, 4.1, 4.2, 5 and 7: the net with one thing changed at a time, against the whole net.

Every variant is trained on the same seeds as the baseline, so on the same order of images and the same draws: a difference is taken
seed by seed, and its interval is over seeds. The reported errors are on the held-out split, over one view; the gap is the test error
minus the error on the training images, as the trained net sees them (one view, no augmentation, no dropout).
"""

import math
from typing import Any, NamedTuple

import pandas as pd
import torch
from pydantic import Field, ValidationError, field_validator

from replication import paths
from replication.errors import InputError
from replication.evaluation.dropout import average_distances, halved_logits, sampled_logits
from replication.evaluation.trained import trained_net
from replication.data.loader import evaluation_loader
from replication.experiments.baselines import BASELINE, HOME, MIDDLE, VARIANTS, task
from replication.experiments.comparison import differences, diverged, error_rows, iterations_to, kept, paired, scale
from replication.files import write_text
from replication.measurement import Measurement, Profile, measured, write_measurements
from replication.paper import first_fault
from replication.recipe import Frozen, Recipe
from replication.results import Run
from replication.workers import Workers
