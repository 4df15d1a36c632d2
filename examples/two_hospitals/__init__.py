"""Two hospitals and one cloud: routes, and NATS users that keep the hospitals apart."""
