"""The proxy itself: joins a local association to a session of the tunnel, on either side.

The rules (`relay`, `policy`, `routes`, `hooks`) are pure; the drivers (`acceptor`, `requestor`, `exchange`) use
asyncio and decide nothing.
"""
