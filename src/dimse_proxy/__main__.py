"""`python -m dimse_proxy`: the same as the command `dimse-proxy`."""

from dimse_proxy.cli.main import run

if __name__ == "__main__":
    run()
