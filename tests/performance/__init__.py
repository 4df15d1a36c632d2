"""What the code costs, counted and not timed."""
