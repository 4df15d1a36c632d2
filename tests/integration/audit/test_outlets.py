"""Each outlet against a real receiver: rsyslog over TLS and UDP, a file; and what each says when it cannot."""

import errno
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimse_proxy.config.pem import PemFiles
from dimse_proxy.observability.audit import outlets
from dimse_proxy.observability.audit.outlets import FileOutlet, OutletError, TlsOutlet, UdpOutlet
from dimse_proxy.observability.audit.rendering import to_xml
from dimse_proxy.observability.audit.syslog import SyslogHeader, to_syslog
from tests.certificates import Authority
from tests.integration.peers.rsyslog import PROXY_NAME, Rsyslog
from tests.integration.peers.waiting import LOOPBACK, free_port
from tests.unit.observability.audit.test_audit_events import EVENTS, IMPLICIT, MESSAGES, STORE

HEADER = SyslogHeader(host="proxy-a", process="1")
LARGE = EVENTS.query(STORE, "1.2.840.10008.5.1.4.1.2.2.1", os.urandom(22 * 1024), IMPLICIT, length=22 * 1024)
RECORDS = [to_syslog(message, HEADER) for message in (*MESSAGES.values(), LARGE)]
XMLS = [to_xml(message) for message in (*MESSAGES.values(), LARGE)]


@pytest.fixture(scope="module")
def rsyslog(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rsyslog]:
    server = Rsyslog(tmp_path_factory.mktemp("rsyslog"), authority).start()
    yield server
    server.stop()


def tls_outlet(port: int, authority: Authority, folder: Path, *, name: str | None = PROXY_NAME) -> TlsOutlet:
    key = certificate = None
    if name is not None:
        key, certificate = authority.issue("proxy", kind="rsa", hosts=[name]).key_and_certificate(folder, "proxy")
    files = PemFiles("DIMSE_AUDIT_TLS", ca=authority.pem(folder / "ca.pem"), certificate=certificate, key=key)
    return TlsOutlet(f"tls://localhost:{port}", "localhost", port, files.context)


def refused(outlet: TlsOutlet | UdpOutlet | FileOutlet, count: int = 1) -> str:
    """What the outlet says at the latest when it is tried for the last time."""
    for _ in range(count):
        try:
            outlet.send(RECORDS[:1])
        except OutletError as error:
            outlet.close()
            return str(error)
    raise AssertionError("it took everything")


def test_over_tls_messages_of_any_length_arrive_whole(rsyslog: Rsyslog, authority: Authority, tmp_path: Path) -> None:
    outlet = tls_outlet(rsyslog.tls_port, authority, tmp_path)
    before = len(rsyslog.messages())
    assert outlet.send(RECORDS[:3]) == 0
    assert outlet.send(RECORDS[3:]) == 0
    outlet.close()
    outlet.close()
    arrived = rsyslog.wait_for(lambda found: len(found) >= before + len(XMLS), "all messages")
    assert arrived[before:] == XMLS
    assert outlet.send(RECORDS[:1]) == 0, "and again on a new connection"
    rsyslog.wait_for(lambda found: len(found) == before + len(XMLS) + 1, "one more")
    outlet.close()


def test_over_udp_messages_arrive_whole(rsyslog: Rsyslog) -> None:
    outlet = UdpOutlet(rsyslog.udp_url, LOOPBACK, rsyslog.udp_port)
    before = len(rsyslog.messages())
    assert outlet.send([*RECORDS, bytes(70_000)]) == 1
    outlet.close()
    arrived = rsyslog.wait_for(lambda found: len(found) >= before + len(XMLS), "all messages")
    assert arrived[before:] == XMLS


def test_a_certificate_that_the_receiver_does_not_take(rsyslog: Rsyslog, authority: Authority, tmp_path: Path) -> None:
    before = len(rsyslog.messages())
    for name in ("somebody.example.org", None):
        said = refused(tls_outlet(rsyslog.tls_port, authority, tmp_path, name=name))
        assert any(words in said for words in ("TLS failed", "closes the connection", "reset by peer")), said
    assert len(rsyslog.messages()) == before


def test_a_receiver_that_we_do_not_take(rsyslog: Rsyslog, tmp_path: Path) -> None:
    assert "cannot be trusted" in refused(tls_outlet(rsyslog.tls_port, Authority("Other"), tmp_path))


def test_nobody_listens(authority: Authority, tmp_path: Path) -> None:
    assert refused(tls_outlet(free_port(), authority, tmp_path)) == "Connection refused"
    assert refused(UdpOutlet("udp://x", LOOPBACK, free_port()), count=50) == "Connection refused"
    files = PemFiles("DIMSE_AUDIT_TLS", ca=None, certificate=None, key=None)
    assert "resolved" in refused(TlsOutlet("tls://x", "no-such-host.invalid", 1, files.context))
    assert "resolved" in refused(UdpOutlet("udp://x", "no-such-host.invalid", 1))
    missing = PemFiles("DIMSE_AUDIT_TLS", ca=tmp_path / "none", certificate=None, key=None)
    with socket.create_server((LOOPBACK, 0)) as server:
        outlet = TlsOutlet("tls://x", LOOPBACK, server.getsockname()[1], missing.context)
        assert "DIMSE_AUDIT_TLS_CA_FILE" in refused(outlet)


class Receiver:
    """A TLS server in a thread that does with its connections what the test says."""

    def __init__(self, authority: Authority, folder: Path, *, reads: bool, version: ssl.TLSVersion) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.issue("receiver").pem(folder / "receiver.pem"))
        self._context.maximum_version = version
        self._reads = reads
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = self._server.getsockname()[1]
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        plain, _ = self._server.accept()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self._context.wrap_socket(plain, server_side=True) as secured:
            while self._reads and secured.recv(65536):
                pass
            self.ended.wait(40)

    def close(self) -> None:
        self.ended.set()
        self._thread.join()
        self._server.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [16 << 20, 300_000], ids=["not to be written", "not acknowledged"])
def test_a_receiver_that_takes_nothing(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlets, "PATIENCE", 0.5)
    receiver = Receiver(authority, tmp_path, reads=False, version=version)
    outlet = tls_outlet(receiver.port, authority, tmp_path, name=None)
    try:
        with pytest.raises(OutletError, match="it took nothing for"):
            outlet.send([bytes(size)])
    finally:
        outlet.close()
        receiver.close()


def test_a_receiver_that_has_gone_is_noticed_before_anything_is_sent(authority: Authority, tmp_path: Path) -> None:
    receiver = Receiver(authority, tmp_path, reads=False, version=ssl.TLSVersion.TLSv1_3)
    outlet = tls_outlet(receiver.port, authority, tmp_path, name=None)
    outlet.send([b"x"])
    first = outlet._socket
    receiver.close()
    assert refused(outlet) == "Connection refused", "it tried a new connection"
    assert first is not None
    assert first.fileno() == -1


def test_a_connection_that_does_not_stand_any_more_confirms_nothing(authority: Authority, tmp_path: Path) -> None:
    receiver = Receiver(authority, tmp_path, reads=False, version=ssl.TLSVersion.TLSv1_2)
    outlet = tls_outlet(receiver.port, authority, tmp_path, name=None)
    outlet.send([b"x"])
    assert outlet._socket is not None
    outlet._socket.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionResetError):
        outlet._confirm(outlet._socket)
    outlet.close()
    receiver.close()


def test_a_file_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    outlet = FileOutlet(path)
    outlet.send([b"1\n", b"2\n"])
    path.rename(tmp_path / "audit.json.1")
    outlet.send([b"3\n"])
    outlet.close()
    outlet.send([b"4\n"])
    outlet.close()
    outlet.close()
    assert (tmp_path / "audit.json.1").read_text() == "1\n2\n3\n"
    assert path.read_text() == "4\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(FileOutlet(Path("/dev/full"))) == "No space left on device"
    assert refused(FileOutlet(tmp_path / "none" / "audit.json")) == "No such file or directory"
    path = tmp_path / "audit.json"
    outlet = FileOutlet(path)
    outlet.send([b"whole\n"])
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:4])

    monkeypatch.setattr(os, "write", half)
    assert refused(outlet) == "No space left on device"
    assert path.read_text() == "whole\n", "half a line is taken back"
