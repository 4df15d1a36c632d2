"""One folder a workflow: settings of both proxies, a README with the commands, and the scripts that they start."""
