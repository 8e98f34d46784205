"""Parsers under any bytes at all: targets with oracles, a kept corpus, and a coverage-guided run (docs/fuzzing.md)."""
