"""What the benchmark runs as processes of its own, each with a command line: peers, forwarders, NATS without a proxy.

Each does one thing, prints one JSON object a line, and knows nothing of the others.
"""
