"""Everything of Kubernetes: the custom resource, what is made of it, and the operator that makes it.

An optional extra (`dimse-proxy[kubernetes]`). It knows the settings of a proxy and nothing of how one works: `proxy/`
and what stands on it are not imported. kopf is imported in `operator` only, aiohttp in `api` only.
"""
