# shellcheck shell=bash
# Dies with its caller, however that one dies. Sourced, not run.
#
# A caller that may be killed hands down the reading end of a pipe, keeps the writing end open, and gives the
# descriptor's number in ACKMATRIX_LIFELINE_FD. End of file on it means that the caller is gone.

# lifeline_hold SCRIPT ARGS...: call it first, with "$0" "$@". Nothing happens without ACKMATRIX_LIFELINE_FD.
# The process group is what is killed, so the script is started again in one of its own if it shares its caller's.
lifeline_hold() {
    local fd=${ACKMATRIX_LIFELINE_FD:-} pipe group
    lifeline_watcher=
    [[ -n $fd ]] || return 0
    if [[ ! $fd =~ ^[0-9]+$ || ! -e /proc/$$/fd/$fd ]]; then
        printf '%s: ACKMATRIX_LIFELINE_FD is "%s": expected the number of an open descriptor\n' "${1##*/}" "$fd" >&2
        exit 2
    fi
    group=$(<"/proc/$$/stat")
    read -r _ _ group _ <<<"${group##*) }"
    [[ $group == "$$" ]] || exec setsid bash "$@"

    # The pipe may be the standard input, which a background job does not get to see.
    exec {pipe}<&"$fd"
    {
        trap '' TERM INT HUP
        while read -r -u "$pipe" _; do :; done
        kill -TERM -- "-$$"
        sleep 2
        kill -KILL -- "-$$"
    } </dev/null >/dev/null 2>&1 &
    lifeline_watcher=$!
    disown "$lifeline_watcher"
    exec {pipe}<&-
    if (( fd == 0 )); then exec </dev/null; fi
}

# Ends the watching; call it on exit.
lifeline_release() {
    [[ -z ${lifeline_watcher:-} ]] || kill -KILL "$lifeline_watcher" 2>/dev/null || true
}
