"""AI results stored back into the PACS, with storage commitment."""
