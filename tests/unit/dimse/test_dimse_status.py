import pytest
from pynetdicom import status as pynetdicom_status

from dimse_proxy.dimse.status import StatusClass, status_class, status_name


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x0000, StatusClass.SUCCESS),
        (0x0001, StatusClass.WARNING),
        (0x0107, StatusClass.WARNING),
        (0x0116, StatusClass.WARNING),
        (0xB000, StatusClass.WARNING),
        (0xBFFF, StatusClass.WARNING),
        (0xFE00, StatusClass.CANCEL),
        (0xFF00, StatusClass.PENDING),
        (0xFF01, StatusClass.PENDING),
        (0xFF02, StatusClass.FAILURE),
        (0x0110, StatusClass.FAILURE),
        (0xA700, StatusClass.FAILURE),
        (0xAFFF, StatusClass.FAILURE),
        (0xC000, StatusClass.FAILURE),
        (0xD000, StatusClass.FAILURE),
    ],
)
def test_class(code: int, expected: StatusClass) -> None:
    assert status_class(code) is expected


def test_classes_are_those_of_pynetdicom() -> None:
    for code in range(0x10000):
        theirs = pynetdicom_status.code_to_category(code).lower()
        # Codes without a class of the standard: not vouched for.
        assert status_class(code).value == ("failure" if theirs == "unknown" else theirs)


def test_every_general_status_has_a_name() -> None:
    for code in pynetdicom_status.GENERAL_STATUS:
        assert not status_name(code).endswith(f"{code:04X}H")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x0000, "success"),
        (0x0110, "processing failure"),
        (0xA801, "refused: move destination unknown"),
        (0xB007, "warning B007H"),
        (0xC123, "failure C123H"),
    ],
)
def test_name(code: int, name: str) -> None:
    assert status_name(code) == name
