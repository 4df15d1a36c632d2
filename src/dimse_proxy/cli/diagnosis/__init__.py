"""What `dimse-proxy doctor` looks at, in the order of the way of an association, and what it makes of it."""
