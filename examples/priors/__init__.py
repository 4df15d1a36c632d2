"""Priors fetched when a study arrives."""
