"""SIGKILL at random moments, over every road: `python -m tests.kills`, and a share of it in the suite."""
