"""Fits SDZRE; the only part of zsre, with the exporter, that needs torch."""
