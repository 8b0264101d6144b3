"""Corpus to entities, pairs, vectors, decisions and Parquet; never imports torch."""
