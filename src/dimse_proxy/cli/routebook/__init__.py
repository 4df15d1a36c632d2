"""What `dimse-proxy routes` says: where one association goes, and what to register at each AE."""
