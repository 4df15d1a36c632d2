"""Modality worklist and performed procedure steps, from a modality to a RIS in the cloud."""
