"""The ledger of the paper's claims: measurements, verdicts, tables."""
