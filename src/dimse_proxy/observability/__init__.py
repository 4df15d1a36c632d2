"""What an operator sees: logs now; metrics, health and audit subscribe to the same `proxy.hooks`."""
