"""The public door, used as notebooks and other crawlers use it."""
