"""Settings: the environment, the dimse-config folder, and the sentences that say what is wrong with them."""
