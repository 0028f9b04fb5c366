"""Nearness of labels in the hierarchy: by hand on a small tree, and plausible on the one in the
package.
"""

from pathlib import Path

import numpy as np
import pytest

from replication.analysis import wordnet as W
from replication.base.errors import InputError

#        root
#       /    \
#     thing  animal      "kit" is below both
#      |   \  /   \
#     cup  kit    cat
SMALL: W.Parents = {
    "thing": ("root",),
    "animal": ("root",),
    "cup": ("thing",),
    "kit": ("thing", "animal"),
    "cat": ("animal",),
}


def test_similarity_by_hand_takes_the_better_of_two_ancestors() -> None:
    found = W.similarity(["cup", "kit", "cat"], SMALL)
    # depth 2, one step each: 4 / 6; root: 2 / 6
    assert np.allclose(found, [[1, 2 / 3, 1 / 3], [2 / 3, 1, 2 / 3], [1 / 3, 2 / 3, 1]])


def test_similarity_uses_the_shortest_way_up() -> None:
    parents = SMALL | {"cat": ("animal", "root")}
    assert W.similarity(["cup", "cat"], parents)[0, 1] == pytest.approx(2 / 5)  # two steps and one


def test_the_packages_own_hierarchy_knows_cats_from_cars() -> None:
    tabby, persian, car = "n02123045", "n02123394", "n02958343"
    found = W.similarity([tabby, persian, car], W.read())
    assert np.allclose(found, found.T) and np.allclose(np.diagonal(found), 1)
    assert found[0, 1] > 0.85 and found[0, 2] < 0.6


def test_a_file_of_ones_own_is_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("root thing\nthing cup\nroot cup\n")
    bad.write_text("root thing\nthing\n")
    assert W.read(good) == {"thing": ("root",), "cup": ("thing", "root")}
    with pytest.raises(InputError, match="line 2"):
        W.read(bad)
    with pytest.raises(InputError, match="cannot be read"):
        W.read(tmp_path / "none.txt.gz")


def test_labels_that_are_no_wnids_are_refused() -> None:
    with pytest.raises(InputError, match="n90000000"):
        W.similarity(["n90000000"], W.read())
    assert W.missing(["n90000000", "n02123045"], W.read()) == ["n90000000"]


def test_closeness_leaves_the_right_label_out_and_chance_is_the_mean_of_the_rest() -> None:
    near = np.eye(7)
    near[0, 1:] = near[1:, 0] = [0.9, 0.8, 0.7, 0.6, 0.1, 0.0]
    p = np.array([[0.3, 0.2, 0.15, 0.12, 0.11, 0.1, 0.02], [0.0, 0.3, 0.2, 0.2, 0.15, 0.1, 0.05]])
    found, chance = W.closeness(p, np.array([0, 0]), near)
    assert found == pytest.approx([(0.9 + 0.8 + 0.7 + 0.6) / 4, (0.9 + 0.8 + 0.7 + 0.6 + 0.1) / 5])
    assert chance == pytest.approx([3.1 / 6] * 2)
    with pytest.raises(ValueError, match="classes"):
        W.closeness(p[:, :5], np.array([0, 0]), near[:5, :5])


def test_random_labels_are_as_near_as_chance() -> None:
    rng = np.random.default_rng(0)
    near = rng.random((20, 20))
    near = (near + near.T) / 2
    found, chance = W.closeness(rng.random((4000, 20)), rng.integers(0, 20, 4000), near)
    assert (found - chance).mean() == pytest.approx(0, abs=0.01)  # standard error 0.0015
