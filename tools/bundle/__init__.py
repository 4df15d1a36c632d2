"""Packs `dicom-dimse-proxy-<version>.tar`: `python -m tools.bundle`, or `make bundle`.

In the order of the work: `environments` (what is locked, installed), `frozen` (PyInstaller), `elf` and `owners` (what
the result needs and whose it is), `licences`, `sbom`, `archive`. `entry` is the one module that ends up in the bundle.
"""
