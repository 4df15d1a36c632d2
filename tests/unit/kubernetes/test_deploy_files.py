"""The files under deploy/kubernetes: what is generated is up to date, and the example is the contract's."""

import runpy
from pathlib import Path

import yaml

from tests.unit.kubernetes.specs import EXAMPLE

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy" / "kubernetes"


def test_generated_files_are_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "generate_kubernetes.py"))
    old = [path.relative_to(ROOT) for path, text in tool["generated"]().items() if path.read_text() != text]
    assert old == [], "`make generate` writes them"


def test_the_example_of_the_contract() -> None:
    secret, resource = yaml.safe_load_all((DEPLOY / "examples" / "contract.yaml").read_text())
    assert secret["data"] == {"token": "ZXhhbXBsZQ=="}
    assert (resource["apiVersion"], resource["metadata"], resource["spec"]) == (
        "imaging-ingestion.alvearie.org/v1alpha1",
        {"name": "archive-proxy"},
        EXAMPLE,
    )
