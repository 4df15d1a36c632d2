"""A cohort selected and pulled."""
