"""The parts of the build that decide something: what is needed, whose it is, what goes in, and in which form."""

import tarfile
from pathlib import Path

import pytest
from tools.bundle import archive, elf, entry, frozen, licences, owners, sbom
from tools.bundle.__main__ import too_new
from tools.bundle.licences import LicenceError, Part
from tools.bundle.owners import SystemPackage

HEADERS = """
/x/libssl.so.3:     file format elf64-x86-64
Dynamic Section:
  NEEDED               libcrypto.so.3
  NEEDED               libc.so.6
Version References:
  required from libc.so.6:
    0x09691a75 0x00 09 GLIBC_2.2.5
    0x06969194 0x00 08 GLIBC_2.34
    0x06969194 0x00 07 GLIBC_2.4
  required from libcrypto.so.3:
    0x08b2a2b0 0x00 02 OPENSSL_3.0.0
"""


def test_what_a_library_needs() -> None:
    found = elf.parse(HEADERS)
    assert found.libraries == {"libcrypto.so.3", "libc.so.6"}
    assert elf.written(found.glibc) == "2.34"
    assert elf.parse("").glibc == (0,)


def test_libraries_that_are_neither_inside_nor_everywhere_are_found() -> None:
    found = {"libssl.so.3": elf.parse(HEADERS)}
    assert elf.missing(found) == {"libssl.so.3": {"libcrypto.so.3"}}
    assert elf.missing({**found, "libcrypto.so.3": elf.parse("")}) == {}


@pytest.mark.parametrize(
    ("glibc", "most", "is_too_new"),
    [((2, 35), "2.28", True), ((2, 28), "2.28", False), ((2, 9), "2.28", False), ((2, 35), "", False)],
)
def test_a_floor_above_the_limit_is_refused(glibc: tuple[int, ...], most: str, is_too_new: bool) -> None:
    assert too_new(glibc, most) is is_too_new


def test_tables_of_pyinstaller_are_read(tmp_path: Path) -> None:
    table = tmp_path / "COLLECT-00.toc"
    table.write_text("([('a.so', '/x/a.so', 'BINARY'), ('b', '', 'SYMLINK')], [('m', '/y/m.py', 'PYMODULE')], True)")
    assert frozen.read_table(table) == {"a.so": Path("/x/a.so"), "m": Path("/y/m.py")}


def test_what_comes_from_the_tools_is_found() -> None:
    builder = Path("/w/builder")
    sources = {
        "loader": builder / "lib/python3.13/site-packages/PyInstaller/loader/x.py",
        "stranger": builder / "lib/python3.13/site-packages/stranger/x.py",
        "ours": Path("/w/runtime/lib/python3.13/site-packages/ours.py"),
    }
    assert frozen.of_the_tools(sources, builder) == ["stranger"]


def test_a_tar_depends_on_its_files_alone(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        folder = tmp_path / name / "bundle"
        folder.mkdir(parents=True)
        for part in ("b", "a") if name == "one" else ("a", "b"):
            (folder / part).write_text(part)
        (folder / "a").chmod(0o700 if name == "one" else 0o755)
        archive.pack(folder, tmp_path / f"{name}.tar", 1_700_000_000)
        digests.append(archive.digest(tmp_path / f"{name}.tar"))
    assert digests[0] == digests[1]
    with tarfile.open(tmp_path / "one.tar") as tar:
        entries = {item.name: (item.mode, item.uid, item.mtime) for item in tar}
    assert entries == {
        "bundle": (0o755, 0, 1_700_000_000),
        "bundle/a": (0o755, 0, 1_700_000_000),
        "bundle/b": (0o644, 0, 1_700_000_000),
    }


def test_checksums_name_every_file_but_their_own(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("a")
    (tmp_path / archive.SUMS).write_text("old")
    assert archive.sums_of(tmp_path).splitlines() == [
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  sub/a"
    ]


def stub(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_owner_of_a_library_on_rpm_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = tmp_path / "LICENSE"
    licence.write_text("text")
    said = 'printf "openssl-libs|1:1.1.1k-14.el8|OpenSSL and ASL 2.0"'
    stub(tmp_path, "rpm", f'case "$2" in --file) {said} ;; --licensefiles) echo {licence} ;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}")
    found = owners.owner(Path("/usr/lib64/libssl.so.1.1"))
    assert found == SystemPackage(
        name="openssl-libs",
        version="1:1.1.1k-14.el8",
        purl="pkg:rpm/openssl-libs@1:1.1.1k-14.el8",
        licences=(licence,),
        licence="OpenSSL and ASL 2.0",
    )


def test_the_owner_of_a_library_on_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doc" / "libssl3").mkdir(parents=True)
    licence = tmp_path / "doc" / "libssl3" / "copyright"
    licence.write_text("text")
    monkeypatch.setattr(owners, "DOCUMENTS", tmp_path / "doc")
    stub(
        tmp_path,
        "dpkg-query",
        'case "$1" in --search) [ "$2" = /lib/libssl.so.3 ] && echo "libssl3:amd64: $2" ;; *) printf 3.0.17-1 ;; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}")
    found = owners.owner(Path("/usr/lib/libssl.so.3"))
    assert found is not None
    assert (found.name, found.version, found.licences) == ("libssl3", "3.0.17-1", (licence,))
    assert found.purl == "pkg:deb/debian/libssl3@3.0.17-1?arch=amd64"
    assert owners.owner(Path("/usr/lib/libother.so")) is None


def test_a_library_of_nobody_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sources = {"a.so": Path("/venv/a.so"), "libx.so": Path("/usr/lib/libx.so")}
    assert licences.of_system_libraries({"a.so": sources["a.so"]}, [Path("/venv")]) == []
    with pytest.raises(LicenceError, match=r"libx\.so"):
        licences.of_system_libraries(sources, [Path("/venv")])


def test_licences_of_installed_packages(tmp_path: Path) -> None:
    import structlog

    site_packages = Path(structlog.__file__).parents[1]
    part = next(part for part in licences.of_packages(site_packages) if part.name == "structlog")
    assert part.licence == "MIT OR Apache-2.0"
    assert any(text.name.startswith("LICENSE") for text in part.texts)
    licences.write([part], tmp_path / "licences")
    assert f"structlog {part.version}: MIT OR Apache-2.0" in (tmp_path / "licences" / "README.txt").read_text()
    assert (tmp_path / "licences" / f"structlog-{part.version}").is_dir()


def test_the_bill_of_materials_gets_the_libraries_that_are_no_python_packages() -> None:
    document = {
        "metadata": {"component": {"bom-ref": "root", "name": "dimse-proxy"}},
        "components": [
            {"bom-ref": "rich==15", "name": "rich", "version": "15"},
            {"bom-ref": "dimse-proxy==1", "name": "dimse-proxy", "version": "1"},
        ],
        "dependencies": [{"ref": "root", "dependsOn": ["rich==15"]}, {"ref": "rich==15"}, {"ref": "dimse-proxy==1"}],
    }
    package = SystemPackage(name="libssl3", version="3", purl="pkg:deb/debian/libssl3@3", licences=())
    part = Part(name="libssl3", version="3", licence="", texts=(), package=package)
    python = Part(name="Python", version="3.13.1", licence="PSF-2.0", texts=())
    merged = sbom.with_parts(document, [part, python], "1.2.3")
    assert merged["metadata"]["component"]["version"] == "1.2.3"
    assert [item["name"] for item in merged["components"]] == ["rich", "libssl3", "Python"]
    root = next(item for item in merged["dependencies"] if item["ref"] == "root")
    assert root["dependsOn"] == ["pkg:deb/debian/libssl3@3", "pkg:generic/python@3.13.1", "rich==15"]


@pytest.mark.parametrize("place", entry.AUTHORITIES)
def test_authorities_are_found_where_each_system_keeps_them(tmp_path: Path, place: str) -> None:
    file = tmp_path / place.lstrip("/")
    file.parent.mkdir(parents=True)
    file.touch()
    environ: dict[str, str] = {}
    entry.use_authorities_of_this_machine(environ, tmp_path)
    assert environ == {"SSL_CERT_FILE": place}


def test_authorities_that_somebody_chose_stay(tmp_path: Path) -> None:
    for environ in ({"SSL_CERT_FILE": "/mine"}, {"SSL_CERT_DIR": "/mine"}):
        before = dict(environ)
        entry.use_authorities_of_this_machine(environ)
        assert environ == before
    without: dict[str, str] = {}
    entry.use_authorities_of_this_machine(without, tmp_path)
    assert without == {}
