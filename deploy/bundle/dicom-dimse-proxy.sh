#!/bin/sh
# Starts and stops the DIMSE Proxy of this folder, as whoever calls it. Settings: dicom-dimse-proxy.env, beside this file.
#
#   dicom-dimse-proxy.sh start        starts it in the background; returns once it is ready
#   dicom-dimse-proxy.sh stop         running associations may finish (DIMSE_GRACE_TIMEOUTSECONDS); returns once it has ended
#   dicom-dimse-proxy.sh restart      stop and start
#   dicom-dimse-proxy.sh status       exit code 0: runs, 3: does not, 1: ended without a goodbye
#   dicom-dimse-proxy.sh foreground   runs it until it is told to stop, for supervisors; logs to standard error
#   dicom-dimse-proxy.sh COMMAND ...  any other command of the proxy (config, doctor, routes, echo, top, health), with these settings
#
# PROXY_RUN_DIR (default: run, beside this file) holds the PID file and the log. PROXY_ENV_FILE is another settings file.
set -eu

HERE=$(dirname -- "$(readlink -f -- "$0")")
# A relative path among the settings, such as ./dimse-config, means this folder, wherever the caller stands.
cd "$HERE"

PROGRAM="$HERE/dicom-dimse-proxy"
ENV_FILE=${PROXY_ENV_FILE:-$HERE/dicom-dimse-proxy.env}
RUN_DIR=${PROXY_RUN_DIR:-$HERE/run}
PID_FILE="$RUN_DIR/dicom-dimse-proxy.pid"
LOG_FILE="$RUN_DIR/dicom-dimse-proxy.log"
START_SECONDS=60 # it takes less than two

say() {
    echo "dicom-dimse-proxy: $*"
}

fail() {
    echo "dicom-dimse-proxy: $*" >&2
    exit 1
}

# What this machine must have. A loader that finds too old a glibc says it in a way that few can read.
check_machine() {
    [ -x "$PROGRAM" ] || fail "$PROGRAM is missing, or not executable"
    [ -r "$ENV_FILE" ] || fail "$ENV_FILE cannot be read"
    [ -r "$HERE/lib/GLIBC" ] || return 0
    needed=$(cat "$HERE/lib/GLIBC")
    has=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/[^0-9.]//g') || has=
    [ -n "$has" ] || return 0
    oldest=$(printf '%s\n%s\n' "$needed" "$has" | sort -t. -k1,1n -k2,2n | head -n 1)
    [ "$oldest" = "$needed" ] || fail "this machine has glibc $has; this bundle needs $needed or later"
}

# The PID in the file, if there is one; a file without PID is of a proxy that is not ready.
read_pid() {
    [ -r "$PID_FILE" ] || return 0
    tr -dc '0-9' <"$PID_FILE" | head -c 10
}

# Whether process $1 is this proxy: a PID that is left over may be another program's by now.
is_ours() {
    [ -n "$1" ] && [ -r "/proc/$1/cmdline" ] && tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qxF -e "$PID_FILE"
}

start() {
    check_machine
    pid=$(read_pid)
    if is_ours "$pid"; then
        fail "runs already, with PID $pid"
    fi
    [ -z "$pid" ] || say "PID file of a process that is gone ($pid): taken over"
    mkdir -p "$RUN_DIR" 2>/dev/null || fail "$RUN_DIR cannot be made: set PROXY_RUN_DIR to a folder of this user"
    touch "$LOG_FILE" 2>/dev/null || fail "$LOG_FILE cannot be written: set PROXY_RUN_DIR to a folder of this user"
    said=$(wc -c <"$LOG_FILE")
    # A session of its own: the terminal's end is not the proxy's.
    own_session=$(command -v setsid || command -v nohup || true)
    # shellcheck disable=SC2086
    $own_session "$PROGRAM" run --env-file "$ENV_FILE" --pid-file "$PID_FILE" </dev/null >>"$LOG_FILE" 2>&1 &
    child=$!
    waited=0
    while [ "$(read_pid)" != "$child" ]; do
        if ! kill -0 "$child" 2>/dev/null; then
            code=0
            wait "$child" || code=$?
            tail -c "+$((said + 1))" "$LOG_FILE" | tail -n 20 >&2
            echo "dicom-dimse-proxy: did not start (exit code $code); its words are above, and in $LOG_FILE" >&2
            exit "$code"
        fi
        if [ "$waited" -ge $((START_SECONDS * 10)) ]; then
            kill -TERM "$child"
            fail "is not ready after $START_SECONDS s, and was told to stop; see $LOG_FILE"
        fi
        sleep 0.1
        waited=$((waited + 1))
    done
    say "ready, with PID $child; log: $LOG_FILE"
}

# Seconds that running associations have, as the settings say now, with the proxy's own last words.
patience() {
    grace=$("$PROGRAM" config --env-file "$ENV_FILE" 2>/dev/null | sed -n 's/^DIMSE_GRACE_TIMEOUTSECONDS  *\([0-9]*\).*/\1/p') || grace=
    echo $((${grace:-30} + 10))
}

stop() {
    pid=$(read_pid)
    if ! is_ours "$pid"; then
        say "does not run"
        rm -f "$PID_FILE"
        return 0
    fi
    limit=$(patience)
    kill -TERM "$pid" 2>/dev/null || fail "PID $pid cannot be told to stop: it belongs to another user"
    say "PID $pid stops; running associations have until the grace period is over"
    waited=0
    while is_ours "$pid"; do
        if [ "$waited" -ge $((limit * 10)) ]; then
            kill -KILL "$pid" 2>/dev/null || true
            rm -f "$PID_FILE"
            fail "PID $pid had not ended after $limit s, and was killed; see $LOG_FILE"
        fi
        sleep 0.1
        waited=$((waited + 1))
    done
    say "stopped"
}

status() {
    pid=$(read_pid)
    if is_ours "$pid"; then
        say "runs, with PID $pid"
    elif [ -n "$pid" ]; then
        say "does not run; PID $pid is left over in $PID_FILE"
        exit 1
    else
        say "does not run"
        exit 3
    fi
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    restart)
        stop
        start
        ;;
    status) status ;;
    foreground)
        check_machine
        exec "$PROGRAM" run --env-file "$ENV_FILE"
        ;;
    config | doctor | echo | top | health | routes)
        command=$1
        shift
        check_machine
        exec "$PROGRAM" "$command" --env-file "$ENV_FILE" "$@"
        ;;
    *)
        sed -n 's/^#   \(dicom-dimse-proxy.sh\)/  \1/p' "$HERE/dicom-dimse-proxy.sh" >&2
        exit 64
        ;;
esac
