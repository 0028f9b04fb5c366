"""``replication data``: list, get, check and prepare data sets."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from replication.base import paths
from replication.base.text import counted, printable
from replication.cli.output import Json, named_path, print_json


def complete_data(start: str) -> list[str]:
    """Return the data sets of the catalog that begin with ``start``, for the shell."""
    from replication.data.sources import catalog

    return [name for name in catalog.names() if name.startswith(start)]


Name = Annotated[
    str,
    typer.Argument(
        help="A name from `replication data list`, or folder:/path for your own images.",
        autocompletion=complete_data,
    ),
]
Split = Annotated[str | None, typer.Option(help="train, val or test; default: all.")]


def data_list(as_json: Json = False) -> None:
    """List the known data sets: where each was found, or how to get it."""
    from replication.data.sources import catalog

    rows = catalog.listing()
    folder = paths.data()
    if folder.exists() and not folder.is_dir():
        line = f"replication: no data set is looked for in {folder}, which is not a folder"
        print(line, file=sys.stderr)
    if as_json:
        return print_json(rows)
    for row in rows:
        print(f"{row['name']:20} {_where(row)}")


def _where(row: dict) -> str:
    """Return which parts of a data set were found, and which are missing."""
    if row["form"] is None:
        return f"not here; {row['how']}"
    facts = [row["origin"], row["note"], "; ".join(_splits(row))]
    place = printable(f"{row['form']} in {row['where']}")
    return place + "".join(f", {fact}" for fact in facts if fact)


def _splits(row: dict) -> list[str]:
    if row["form"] == "archive":
        return ["to be unpacked"]
    missing = [split for split in row["splits"] if split not in row["present"]]
    found = [" and ".join(row["present"]) or "no images"]
    return found + ([f"lacks {' and '.join(missing)}"] if missing else [])


def data_get(
    name: Annotated[
        str,
        typer.Argument(help="A name from `replication data list`.", autocompletion=complete_data),
    ],
    file: Annotated[
        str | None,
        typer.Option(help="Which archive to get, if there are several; default: the first."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=named_path,
            metavar="PATH",
            help="Take the files from this folder instead of downloading them.",
        ),
    ] = None,
) -> None:
    """Download a data set from its official source, or generate it, and print its folder."""
    from replication.data.sources import catalog

    print(catalog.get(name, file, source))


def data_index(
    name: Name,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    as_json: Json = False,
) -> None:
    """Print the number of images and the classes of one split of a data set."""
    import numpy as np

    from replication.data.sources import catalog

    index = catalog.open_index(name, split)
    counts = np.bincount(index.labels, minlength=len(index.classes)).tolist()
    facts = {
        "name": index.name,
        "form": index.form,
        "note": index.note,
        "split": index.split,
        "root": str(index.root),
        "images": len(index),
        "classes": dict(zip(index.classes, counts, strict=True)),
        "skipped": index.skipped,
        "fingerprint": index.fingerprint,
    }
    if as_json:
        return print_json(facts)
    sizes = (
        f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    )
    print(
        f"{printable(index.name)} {index.split}: {counted(len(index), 'image')},"
        f" {counted(len(index.classes), 'class')} of {sizes}, in {printable(str(index.root))}"
    )
    print(
        f"form {index.form}"
        + (f" ({index.note})" if index.note else "")
        + f", fingerprint {index.fingerprint}"
    )
    if index.skipped:
        print("skipped: " + ", ".join(f"{count} {kind}" for kind, count in index.skipped.items()))


def data_verify(
    path: Annotated[
        str,
        typer.Argument(
            help="A folder of images, or a name from `replication data list`.",
            autocompletion=complete_data,
        ),
    ],
    split: Split = None,
    crop: Annotated[
        int,
        typer.Option(
            min=1, help="Side of the crop for training, pixels; smaller images are counted."
        ),
    ] = 224,
    card: Annotated[bool, typer.Option("--card", help="Print the data card in Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Decode every image and list what is broken, odd or duplicated.

    Exit status 1 if a file cannot be decoded.
    """
    from replication.data.prepared import card as data_card
    from replication.data.prepared.verify import verify

    report = verify(path, split, crop).dump()
    if as_json:
        print_json(report)
    else:
        print(data_card.card(report) if card else data_card.summary(report))
    if not report["healthy"]:
        raise typer.Exit(1)


def data_prepare(
    name: Name,
    size: Annotated[int, typer.Option(min=8, help="Side of the stored squares, pixels.")] = 256,
    split: Split = None,
    jpeg: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            metavar="PATH",
            help="Write JPEG files to this folder, instead of one array to the runs folder.",
        ),
    ] = None,
    skip: Annotated[
        bool,
        typer.Option(help="Leave out files that cannot be decoded, instead of stopping at them."),
    ] = False,
) -> None:
    """Reduce every image to SIZE x SIZE pixels once, as in section 2 of the paper."""
    from replication.data.prepared.store import prepare, prepare_jpeg
    from replication.data.prepared.verify import open_indexes, readable

    for index in open_indexes(name, split):
        wanted = readable(index) if skip else index
        place = (
            prepare(wanted, size).images.filename  # type: ignore[attr-defined]  # memory-mapped
            if jpeg is None
            else prepare_jpeg(wanted, size, paths.absolute(jpeg))
        )
        left_out = len(index) - len(wanted)
        print(
            f"{wanted.name} {wanted.split}: {counted(len(wanted), 'image')} in {place}"
            + (f", {left_out:,} left out" if left_out else "")
        )


def data_unpack(
    source: Annotated[
        Path,
        typer.Argument(
            parser=named_path,
            metavar="source",
            help="A folder of parquet, arrow, tar or zip files of images.",
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            parser=named_path,
            metavar="folder",
            help="A new folder; the images go to <split>/<class>/<image>.",
        ),
    ],
) -> None:
    """Unpack files of many images each into class folders, and count the images."""
    from replication.data.sources import shards

    counts = shards.unpack(paths.absolute(source), paths.absolute(folder))
    for split, count in counts.items():
        print(f"{split}: {counted(count, 'image')} in {folder / split}")
