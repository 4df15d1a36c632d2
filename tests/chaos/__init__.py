"""The fault bench: what users see when NATS servers, networks or proxies fail, shown with real processes.

`fault_link` breaks the network, `servers` are the NATS servers to be killed, `site` is the load with its own accounts,
`bench` puts them together and `faults` is what is done to it. Nothing here imports dimse_proxy's cores.
"""
