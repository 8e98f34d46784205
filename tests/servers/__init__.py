"""Servers for tests: nginx and moto as the real ones, and a scripted one that has to agree with them."""
