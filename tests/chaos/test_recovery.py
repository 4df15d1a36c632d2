"""Item by item: under load, no fault of a server, a cluster or a link aborts an association or touches an object."""

import random
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.bench import Bench
from tests.chaos.faults import LONG, SHORT, cluster_faults, run_faults, say, single_server_faults, summary
from tests.chaos.scale import IS_LONG, timeout
from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.waiting import free_port, wait_until

SCALE = LONG if IS_LONG else SHORT


@pytest.mark.slow
@pytest.mark.timeout(timeout(240))
@pytest.mark.parametrize(("servers", "long_count"), [(1, 100), (3, 40)])
def test_faults_in_a_row(tmp_path: Path, servers: int, long_count: int) -> None:
    """kill -9, cuts, black holes, jitter, a smaller max_payload, SIGSTOP, lame duck mode: one after the other."""
    faults = single_server_faults(SCALE) if servers == 1 else cluster_faults(SCALE)
    with Bench(tmp_path, servers=servers) as bench:
        bench.start_load()
        bench.wait_until_moving()
        count = long_count if IS_LONG else len(faults)
        happened = list(run_faults(bench, faults, count))
        totals = bench.finish()
        say(f"{summary(happened)}\n     connections to NATS lost: {bench.disconnections()}")
        say(f"{servers} server(s): {totals.line(len(happened))}")
        bench.check_logs()
    totals.check()
    assert totals.objects > count
    assert totals.finds
    assert totals.moves


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_servers_that_were_never_configured(tmp_path: Path) -> None:
    """The proxies know one server of three; it is killed for good, and then each of the others for a while."""
    with Bench(tmp_path, servers=3, advertise=True) as bench:
        bench.start_load()
        bench.wait_until_moving()
        first, *others = bench.servers.all
        first.kill()
        bench.wait_until_moving()
        for server in others:
            server.kill()
            bench.wait_until_moving()
            server.start()
            time.sleep(1)  # for its route to the other one
        totals = bench.finish()
        say(f"servers that were discovered: {totals.line(3)}")
        bench.check_logs()
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_dcmtk_through_faults(tmp_path: Path) -> None:
    """storescu and storescp, on one association, with their own time-outs: every file arrives with its digest."""
    files = [large_object(tmp_path / "sent", f"P{number}") for number in range(240 if IS_LONG else 50)]
    port = free_port()
    results: list[dcmtk.Result] = []

    def store(called: int) -> None:
        results.append(dcmtk.scu("storescu", called, files=[file.path for file in files]))

    with (
        dcmtk.storescp(port, tmp_path / "scp") as scp,
        Bench(tmp_path / "bench", env_of={"B": {"DIMSE_TARGET_PORT": str(port)}}) as bench,
    ):
        received = scp.folder / "received"
        thread = threading.Thread(target=store, args=(bench.port("A"),))
        thread.start()
        count = 0
        for name, happen in single_server_faults(SHORT):
            seen = len(list(received.iterdir()))
            wait_until(
                lambda seen=seen: len(list(received.iterdir())) > seen or not thread.is_alive(),  # type: ignore[misc]
                seconds=60,
                what=f"another file to arrive before {name}",
            )
            if not thread.is_alive():
                break
            happen(bench)
            count += 1
        thread.join(90)
        bench.check_logs()
    results[0].ok()
    arrived = dicom_files.received(received)
    say(f"storescu to storescp: {count} faults, {len(files)} objects sent, {len(arrived)} arrived")
    assert count > 3
    assert len(arrived) == len(files)
    assert dicom_files.digests(arrived) == dicom_files.digests(files)


def large_object(folder: Path, patient_id: str) -> dicom_files.DicomFile:
    """An object of 2 MiB, whose pixels are more than its rows and columns say: nobody here looks at them."""
    file = dicom_files.write_object(folder, patient_id=patient_id)
    content = file.path.read_bytes()
    pixels = content.rindex(b"\xe0\x7f\x10\x00") + 12
    more = random.Random(patient_id).randbytes(2 << 20)
    file.path.write_bytes(content[: pixels - 4] + len(more).to_bytes(4, "little") + more)
    return dicom_files.read(file.path)
