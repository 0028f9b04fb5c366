"""Tables and text of one notebook each. Nothing is measured here."""
