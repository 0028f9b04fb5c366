"""``replication reseal``: accept published results and pages as they are now."""

from typing import Annotated

import typer


def reseal(
    because: Annotated[str, typer.Option(help="The reason; it is kept in results/SEALS.log.")],
) -> None:
    """Seal published results and pages that were changed on purpose, and log the reason."""
    from replication.runs import seal

    differences = seal.reseal(because)
    for difference in differences:
        print(difference)
    state = "sealed" if differences else "nothing differs from the seals"
    print(
        f"{state}: {len(seal.published_folders())} experiments, {len(seal.published_pages())} pages"
    )
