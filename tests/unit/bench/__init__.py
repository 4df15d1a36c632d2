"""The benchmark's own logic, without running anything."""
