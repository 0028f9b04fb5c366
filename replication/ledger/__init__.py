"""The ledger of the paper's claims: measurements, verdicts, tables.

From the bottom up: ``scale`` (what was run, and whether that is the paper's own scale),
``families`` (simultaneous intervals), ``record`` and ``measurement`` (what an experiment reports),
``rules`` (the verdicts), ``verdicts`` (the rows), ``power``; and what is shown: ``text``,
``chips``, ``tables``, ``effects``."""
