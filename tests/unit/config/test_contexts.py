"""The dimse-config folder: how its files are read, and what passes."""

from pathlib import Path

import pytest

from dimse_proxy.config.contexts import ContextFilter, Service, load_both, load_contexts, service_of
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import ConfigError

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PRIVATE = "1.2.826.0.1.3680043.9.9999.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
MPPS = "1.2.840.10008.3.1.2.3.3"
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
COMMITMENT = "1.2.840.10008.1.20.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"
ALL = (IMPLICIT, EXPLICIT, JPEG)


def load(folder: Path, **files: str) -> ContextFilter:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
    contexts = load_contexts(folder)
    assert contexts is not None
    return contexts


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        load_contexts(folder)
    return raised.value.problems


def test_no_folder_is_no_filter(tmp_path: Path) -> None:
    assert load_contexts(tmp_path / "none") is None


def test_a_folder_without_files(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("nothing")
    [sentence] = problems(tmp_path)
    assert sentence.startswith(f"DIMSE_CONFIG_PATH={tmp_path}: config folder without files.")


def test_a_folder_with_nothing_but_routes_filters_nothing(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text("")
    contexts = load_contexts(tmp_path)
    assert contexts is not None
    assert contexts.decide("1.2.3", ("1.2",)) == ("1.2",)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dimse-config"
    path.write_text("")
    assert problems(path) == (f"DIMSE_CONFIG_PATH={path}: this is not a folder.",)


def test_a_folder_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "dimse-config"
    assert problems(path) == (f"DIMSE_CONFIG_PATH={path}: Not a directory.",)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "IMAGE_CUIDS").mkdir()
    assert problems(tmp_path) == (f"{tmp_path / 'IMAGE_CUIDS'}: Is a directory.",)


def test_storage_alone_leaves_the_other_services_alone(tmp_path: Path) -> None:
    contexts = load(tmp_path, IMAGE_CUIDS=f"CT:{CT}\n", IMAGE_TSUIDS=f"Implicit:{IMPLICIT}\nExplicit:{EXPLICIT}\n")
    assert contexts.decide(CT, ALL) == (IMPLICIT, EXPLICIT)
    assert contexts.decide(CT, (JPEG,)) == ()
    assert contexts.decide(MR, ALL) is None
    assert contexts.decide(PRIVATE, ALL) is None
    for other in (STUDY_FIND, WORKLIST, MPPS, UPS_PUSH, COMMITMENT, VERIFICATION):
        assert contexts.decide(other, ALL) == ALL


def test_each_service_has_files_of_its_own(tmp_path: Path) -> None:
    contexts = load(
        tmp_path,
        IMAGE_CUIDS="*\n",
        IMAGE_TSUIDS="*\n",
        QUERY_CUIDS=f"Find:{STUDY_FIND}\n",
        QUERY_TSUIDS=f"Implicit:{IMPLICIT}\n",
        SERVICE_CUIDS=f"MPPS:{MPPS}\n",
        SERVICE_TSUIDS=f"Explicit:{EXPLICIT}\n",
    )
    assert contexts.decide(CT, ALL) == ALL
    assert contexts.decide(PRIVATE, ALL) == ALL
    assert contexts.decide(STUDY_FIND, ALL) == (IMPLICIT,)
    assert contexts.decide(WORKLIST, ALL) is None
    assert contexts.decide(MPPS, ALL) == (EXPLICIT,)
    assert contexts.decide(COMMITMENT, ALL) is None


def test_verification_always_passes(tmp_path: Path) -> None:
    contexts = load(tmp_path, SERVICE_CUIDS=f"MPPS:{MPPS}\n", SERVICE_TSUIDS=f"Explicit:{EXPLICIT}\n")
    assert contexts.decide(VERIFICATION, ALL) == ALL


def test_the_order_of_the_proposal_is_kept(tmp_path: Path) -> None:
    contexts = load(tmp_path, IMAGE_TSUIDS=f"Implicit:{IMPLICIT}\nExplicit:{EXPLICIT}\n")
    assert contexts.decide(CT, (JPEG, EXPLICIT, IMPLICIT)) == (EXPLICIT, IMPLICIT)


def test_sop_classes_without_transfer_syntaxes_file(tmp_path: Path) -> None:
    contexts = load(tmp_path, IMAGE_CUIDS=f"CT:{CT}\n")
    assert contexts.decide(CT, ALL) == ALL
    assert contexts.decide(MR, ALL) is None


def test_transfer_syntaxes_without_sop_classes_file(tmp_path: Path) -> None:
    contexts = load(tmp_path, IMAGE_TSUIDS=f"Explicit:{EXPLICIT}\n")
    assert contexts.decide(CT, ALL) == (EXPLICIT,)
    assert contexts.decide(PRIVATE, ALL) == (EXPLICIT,)
    assert contexts.decide(STUDY_FIND, ALL) == ALL


def test_a_listed_sop_class_belongs_to_the_file_that_lists_it(tmp_path: Path) -> None:
    contexts = load(
        tmp_path,
        IMAGE_CUIDS=f"CT:{CT}\n",
        IMAGE_TSUIDS=f"Implicit:{IMPLICIT}\n",
        QUERY_CUIDS=f"Private query:{PRIVATE}\n",
        QUERY_TSUIDS=f"Explicit:{EXPLICIT}\n",
    )
    assert contexts.decide(PRIVATE, ALL) == (EXPLICIT,)


def test_a_sop_class_listed_twice_has_the_transfer_syntaxes_of_both(tmp_path: Path) -> None:
    contexts = load(
        tmp_path,
        IMAGE_CUIDS=f"Private:{PRIVATE}\n",
        IMAGE_TSUIDS=f"Implicit:{IMPLICIT}\n",
        QUERY_CUIDS=f"Private:{PRIVATE}\n",
        QUERY_TSUIDS=f"Explicit:{EXPLICIT}\n",
    )
    assert contexts.decide(PRIVATE, ALL) == (IMPLICIT, EXPLICIT)


def test_a_star_is_for_its_own_service_only(tmp_path: Path) -> None:
    contexts = load(tmp_path, IMAGE_CUIDS=f"CT:{CT}\n", QUERY_CUIDS="*\n")
    assert contexts.decide(MR, ALL) is None
    assert contexts.decide(PRIVATE, ALL) is None
    assert contexts.decide(WORKLIST, ALL) == ALL


def test_a_file_that_lists_nothing_lets_nothing_pass(tmp_path: Path) -> None:
    contexts = load(tmp_path, QUERY_CUIDS="# none\n")
    assert contexts.decide(STUDY_FIND, ALL) is None
    assert contexts.decide(CT, ALL) == ALL


@pytest.mark.parametrize(
    "line",
    [
        f"CTImageStorage:{CT}",
        f"  CT Image Storage : {CT}  ",
        f"{CT}",
        f"CT: the: best :{CT} # a comment",
        "*",
        "All:*",
        "  * # every one",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_lines(tmp_path: Path, line: str, line_end: str) -> None:
    contexts = load(tmp_path, IMAGE_CUIDS=f"\ufeff# head{line_end or chr(10)}{line}{line_end}")
    assert contexts.decide(CT, ALL) == ALL


@pytest.mark.parametrize(
    "uid",
    ["1.2.840.x", "1..2", "1.2.", ".1.2", "1", "3.1", "1.2 3", "CT", "1." + "1" * 63, "1.2.840.10008.5.1.4.1.1.2,"],
)
def test_a_bad_uid_is_told_with_file_and_line(tmp_path: Path, uid: str) -> None:
    (tmp_path / "IMAGE_CUIDS").write_text(f"# head\nCT:{CT}\nBad:{uid}\n")
    [sentence] = problems(tmp_path)
    assert sentence == (f"{tmp_path / 'IMAGE_CUIDS'}:3: {uid!r} is not a UID. A line is Name:UID, or * for all.")


def test_all_bad_lines_are_told(tmp_path: Path) -> None:
    (tmp_path / "IMAGE_CUIDS").write_text("CT:x\nMR\n")
    (tmp_path / "SERVICE_TSUIDS").write_text("Name:\n")
    assert len(problems(tmp_path)) == 3


def test_a_name_in_any_encoding_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "IMAGE_CUIDS").write_bytes(b"R\xf6ntgen:" + CT.encode() + b"\n")
    contexts = load_contexts(tmp_path)
    assert contexts is not None
    assert contexts.decide(CT, ALL) == ALL


@pytest.mark.parametrize(
    ("uid", "service"),
    [
        (CT, Service.IMAGE),
        (PRIVATE, Service.IMAGE),
        (STUDY_FIND, Service.QUERY),
        (WORKLIST, Service.QUERY),
        (MPPS, Service.SERVICE),
        (UPS_PUSH, Service.SERVICE),
        (COMMITMENT, Service.SERVICE),
    ],
)
def test_kinds(uid: str, service: Service) -> None:
    assert service_of(uid) is service


def both(tmp_path: Path, **folders: Path) -> tuple[ContextFilter | None, ContextFilter | None]:
    values = {"config_path": tmp_path / "none", **folders}
    return load_both(Settings(**values))  # type: ignore[arg-type]


def test_one_folder_serves_both_directions(tmp_path: Path) -> None:
    (tmp_path / "IMAGE_CUIDS").write_text("CT:1.2.840.10008.5.1.4.1.1.2\n")
    contexts, contexts_in = both(tmp_path, config_path=tmp_path)
    assert contexts is contexts_in is not None
    assert both(tmp_path) == (None, None)


def test_a_second_folder_serves_what_arrives_through_the_tunnel(tmp_path: Path) -> None:
    (tmp_path / "IMAGE_CUIDS").write_text("CT:1.2.840.10008.5.1.4.1.1.2\n")
    contexts, contexts_in = both(tmp_path, config_path_in=tmp_path)
    assert contexts is None
    assert contexts_in is not None


def test_problems_of_both_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        both(tmp_path, config_path=tmp_path, config_path_in=tmp_path / "missing")
    first, second = error.value.problems
    assert first.startswith(f"DIMSE_CONFIG_PATH={tmp_path}:")
    assert second == f"DIMSE_CONFIG_PATH_IN={tmp_path / 'missing'}: there is no such folder."
