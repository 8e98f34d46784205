"""The loop that carries bytes across, and what it goes by: budget, limits, the health of hosts."""
