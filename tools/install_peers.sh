#!/bin/sh
# Installs the DICOM peers that the tests talk to, makers of key stores and what packing needs, from Debian's packages.
set -eu

missing=""
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need storescp dcmtk
need Orthanc orthanc
need odil odil
need dicom_echo ctn
need ip iproute2
need openssl openssl
need chromium chromium
need keytool default-jre-headless
need valgrind valgrind
need haproxy haproxy
need rsyslogd rsyslog
ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || missing="$missing rsyslog-gnutls"
need debootstrap debootstrap
need objdump binutils
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "The tests need these Debian packages: $missing. Install them as root, or install sudo." >&2
        exit 1
    fi
    as_root="sudo"
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need what Debian packages as: $missing. Install it by your system's own means." >&2
    exit 1
fi
echo "Installing$missing"
# RUNLEVEL=1: Orthanc's own service must not start, the tests start theirs.
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
