"""The software bill of materials: CycloneDX's own generator for the Python packages, and the libraries beside them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools.bundle.environments import ROOT, Environment, run
from tools.bundle.licences import Part

SPECIFICATION: Final = "1.6"
VALIDATE: Final = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
version = SchemaVersion.from_version(sys.argv[1])
sys.exit(JsonStrictValidator(version).validate_str(open(sys.argv[2], encoding="utf-8").read()))
"""


def of_packages(builder: Environment, runtime: Environment) -> dict[str, Any]:
    """What the generator says of an environment."""
    text = run(
        [builder.folder / "bin" / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml",
         "--mc-type", "application", "--spec-version", SPECIFICATION, "--output-reproducible", runtime.python]
    )  # fmt: skip
    document: dict[str, Any] = json.loads(text)
    return document


def component(part: Part) -> dict[str, Any]:
    """A part that is no Python package: the interpreter, and libraries of the build machine."""
    purl = f"pkg:generic/python@{part.version}" if part.package is None else part.package.purl
    return {
        "bom-ref": purl,
        "type": "library",
        "name": part.name,
        "version": part.version,
        "purl": purl,
        **({"licenses": [{"license": {"name": part.licence}}]} if part.licence else {}),
    }


def with_parts(document: dict[str, Any], parts: Iterable[Part], version: str) -> dict[str, Any]:
    """The document with these parts as well, the version of the proxy in its head, and what it depends on."""
    more = [component(part) for part in parts]
    root = {**document["metadata"]["component"], "version": version}
    dependencies = [
        {**entry, "dependsOn": sorted({*entry.get("dependsOn", []), *(item["bom-ref"] for item in more)})}
        if entry["ref"] == root["bom-ref"]
        else entry
        for entry in document.get("dependencies", [])
    ]
    own = [item for item in document["components"] if item["name"].replace("_", "-") != root["name"]]
    kept = {item["bom-ref"] for item in [*own, *more, root]}
    return {
        **document,
        "metadata": {**document["metadata"], "component": root},
        "components": [*own, *more],
        "dependencies": [entry for entry in dependencies if entry["ref"] in kept]
        + [{"ref": item["bom-ref"]} for item in more],
    }


def write(document: dict[str, Any], path: Path, builder: Environment) -> None:
    """Writes it, and has it checked against CycloneDX's schema, by the library that knows it."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    run([builder.python, "-c", VALIDATE, SPECIFICATION, path])
