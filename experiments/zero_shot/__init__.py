"""Triples from plain text, zero-shot: what fold models write for relations that they have not seen."""
