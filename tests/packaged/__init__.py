"""What `make bundle` packs and what the Dockerfile builds, run in small Debian systems; `make package-test`."""
