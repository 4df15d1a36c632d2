from dimse_proxy.tunnel.graveyard import LONGEST, MOST, Ending, Graveyard, Tombstone


def stone(at: float) -> Tombstone:
    return Tombstone("B", b"route", Ending.CLOSED, at)


def test_number_is_bounded() -> None:
    graveyard = Graveyard(120.0)
    for number in range(MOST + 10):
        graveyard.bury(number.to_bytes(16, "big"), stone(0.0))
    assert len(graveyard) == MOST
    assert graveyard.find((9).to_bytes(16, "big")) is None
    assert graveyard.find((10).to_bytes(16, "big")) is not None


def test_age_is_bounded() -> None:
    graveyard = Graveyard(120.0)
    graveyard.bury(b"old", stone(0.0))
    graveyard.bury(b"new", stone(10.0))
    graveyard.expire(LONGEST + 5)
    assert graveyard.find(b"old") is None
    assert graveyard.find(b"new") is not None
    graveyard.expire(LONGEST + 11)
    assert len(graveyard) == 0


def test_freshness() -> None:
    graveyard = Graveyard(120.0)
    assert graveyard.is_fresh(stone(0.0), 120.0)
    assert not graveyard.is_fresh(stone(0.0), 120.1)
