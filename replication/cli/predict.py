"""``replication predict``: label image files with a trained net."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replication.cli.output import Device, Json, Profile, Views, named_path, print_json
from replication.cli.train import complete_recipe

if TYPE_CHECKING:
    from replication.evaluation.predict import Prediction, Predictor

SHOWN = 256  # side of an image in the figure, pixels


def predict(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, its folder under results/, a named recipe, or an exported folder.",
            autocompletion=complete_recipe,
        ),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(parser=named_path, metavar="images", help="Image files of any kind."),
    ],
    views: Views = 1,
    figure: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            metavar="PATH",
            help="Draw the predictions as in the paper's Figure 4 into this file.",
        ),
    ] = None,
    profile: Profile = "quick",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Print the five most probable labels of each image."""
    from replication.evaluation import predict as prediction

    prediction.files_of(images, views)
    predictor = prediction.load(run, profile, device)
    predictions = predictor.predict(images, views)
    if figure is not None:
        _draw(predictor, predictions, figure)
    if as_json:
        rows = [
            {"image": str(one.image), "labels": [label._asdict() for label in one.labels]}
            for one in predictions
        ]
        return print_json({"run": predictor.recipe.id, "views": views, "images": rows})
    print(f"run {predictor.recipe.id}, {prediction.views_text(views)}, probabilities in %")
    width = max(len(label.title) for one in predictions for label in one.labels)
    for one in predictions:
        print(f"\n{one.image}")
        for label in one.labels:
            key = "" if label.title == label.key else f"  {label.key}"
            print(f"  {100 * label.p:6.2f}  {label.title:{width}}{key}".rstrip())


def _draw(predictor: "Predictor", predictions: list["Prediction"], path: Path) -> None:
    import numpy as np

    from replication.base.errors import InputError
    from replication.base.files import write_atomic
    from replication.data.files.decode import decode
    from replication.data.prepared.store import reduce
    from replication.figures.predictions import predictions as draw

    picture = draw(
        np.stack([reduce(decode(one.image, str(one.image)), SHOWN) for one in predictions]),
        None,
        np.stack([one.p for one in predictions]),
        predictor.titles,
        [one.image.name for one in predictions],
    )
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in picture.canvas.get_supported_filetypes():
        known = ", ".join(sorted(picture.canvas.get_supported_filetypes()))
        raise InputError(f"--figure {path}: cannot draw this kind of file; use one of {known}")
    write_atomic(path.absolute(), lambda file: picture.savefig(file, format=suffix, dpi=150))
