"""Runs that are left, cancelled, or doubled."""
