"""What `dimse-proxy demo` consists of: an archive, a workstation, two proxies and the story that they play.

Only `cli.demo` imports this package, once it knows that pydicom and pynetdicom are there. Nothing that runs a proxy
may depend on it.
"""
