"""What each claim is measured by and what counts as reproduced, as an HTML table."""

import html

from replication.ledger.chips import Cells, table_html
from replication.ledger.rules import range_text
from replication.ledger.units import shown_unit, with_unit
from replication.paper import claims


def targets_html() -> str:
    """Return what each E and Q claim is measured by, and what counts as ``reproduced``.

    The style is that of the page's other tables."""
    body: list[tuple[str, Cells]] = []
    for claim in claims():
        for target in claim.targets:
            factor, unit = shown_unit(target.unit, target)
            low, high = (None if end is None else factor * end for end in (target.low, target.high))
            name = (
                f'<span class="id">{html.escape(claim.id)}</span>'
                f'<span class="small">{html.escape(target.variant)}</span>'
            )
            texts = [
                ("quantity", target.quantity),
                ("paper", "" if target.value is None else _given(factor * target.value, unit)),
                (
                    "claimed side",
                    "" if target.null is None else f"{target.side} {factor * target.null:g}",
                ),
                ("reproduced", range_text(low, high)),
                (None, claim.tolerance),
            ]
            cells = [(label, html.escape(text)) for label, text in texts]
            body.append(("", [(None, name), *cells]))
    head = (
        "claim",
        "quantity measured",
        "the paper's value",
        "claimed side",
        "range of reproduced, at the paper's scale",
        "why this range",
    )
    title = f"The {len(body)} numbers and their ranges"
    return f"<details><summary>{title}</summary>{table_html(head, body)}</details>"


def _given(value: float, unit: str) -> str:
    return with_unit(f"{value:g}", unit)
