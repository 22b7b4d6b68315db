# From here to the next line of dashes, every script of `ackmatrix report --standalone` is the same: it starts, drives and watches two
# QEMUs from a POSIX shell. The part after the line is the cell.
set -u
LC_ALL=C
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
export LC_ALL PATH
ulimit -c 0 2>/dev/null # QEMU may abort when a guest is lost

# plain: copies text without what may move a cursor, since a QEMU may say and log anything. tell FORMAT WORDS...: prints such a text.
plain() { tr -c '\011\012\040-\176' '?'; }
# shellcheck disable=SC2059 # the format is the first word
tell() { printf "$@" | plain; }
broken() {
    tell 'environment broken: %s\n' "$*" >&2
    exit 2
}

for tool in awk cat cp cut date dd grep head ln mkfifo mktemp od rm sed sleep tail tr wc; do
    command -v "$tool" >/dev/null 2>&1 || broken "no $tool here"
done
[ -r /proc/self/stat ] || broken "no /proc here"
absolute() {
    case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac
}
QEMU_SOURCE=$(absolute "$QEMU_SOURCE")
QEMU_DESTINATION=$(absolute "$QEMU_DESTINATION")
SHIM=$(absolute "$SHIM")
[ -x "$QEMU_SOURCE" ] || broken "QEMU_SOURCE=$QEMU_SOURCE is no program"
[ -x "$QEMU_DESTINATION" ] || broken "QEMU_DESTINATION=$QEMU_DESTINATION is no program"
[ -r "$SHIM" ] || broken "SHIM=$SHIM cannot be read"

folder=$(mktemp -d "${TMPDIR:-/tmp}/ackmatrix-report.XXXXXX") || broken "no folder can be made in ${TMPDIR:-/tmp}"
processes=
finish() {
    status=$?
    trap '' INT TERM HUP
    for process in $processes; do kill -KILL "$process" 2>/dev/null; done
    for process in $processes; do wait "$process" 2>/dev/null; done
    if [ -n "${KEEP-}" ]; then printf 'kept: %s\n' "$folder"; else rm -rf "$folder"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$folder" || broken "$folder cannot be entered"

pause() { sleep 0.02; }
# until_time SECONDS: sets the deadline that before() checks.
until_time() { deadline=$(($(date +%s) + $1)); }
before() { [ "$(date +%s)" -le "$deadline" ]; }

# ---- files

# fill COUNT OCTAL: prints a byte COUNT times.
fill() { head -c "$1" /dev/zero | tr '\000' "\\$2"; }
# word SIDE PLACE: prints a 64-bit number of the gate board. poke SIDE PLACE: writes a 32-bit 1 to the board, which opens a gate.
word() { od -An -tu8 -j "$2" -N 8 "$1/board" | tr -d ' '; }
poke() { printf '\001\000\000\000' | dd of="$1/board" bs=4 seek=$(($2 / 4)) conv=notrunc 2>/dev/null; }

# ---- processes

# descriptor SIDE: prints the descriptor that the side's monitor reads from.
descriptor() {
    case $1 in source) echo 3 ;; destination) echo 4 ;; destination-*) echo $((3 + ${1#destination-})) ;; esac
}
process() { cat "$1/process"; }
alive() {
    case $(cat "/proc/$(process "$1")/stat" 2>/dev/null) in '' | *') Z '* | *') X '*) return 1 ;; esac
}

# Runs in its own process, and becomes QEMU in the side's folder.
become() {
    cd "$1" || exit 2
    qemu=$2
    shift 2
    # The shim ends its process when this shell has ended.
    ACKMATRIX_PARENT=$$
    export ACKMATRIX_PARENT
    if [ -e board ]; then
        ACKMATRIX_SIDE=.
        export ACKMATRIX_SIDE
    fi
    # Lists of libraries are split at spaces and colons, which the path of a link here never has.
    ln -s "$SHIM" shim.so || exit 2
    root=${qemu%/usr/bin/*}
    if [ "$root" != "$qemu" ] && [ -n "$root" ] && [ -x "$root/lib64/ld-linux-x86-64.so.2" ]; then
        # A folder of unpacked packages has its own loader and libraries.
        ln -s "$root" root && root=./root
        libraries=$root/usr/lib/x86_64-linux-gnu
        QEMU_MODULE_DIR=$libraries/qemu
        export QEMU_MODULE_DIR
        exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$libraries" --preload ./shim.so "$qemu" \
            -L "$root/usr/share/seabios" -L "$root/usr/share/qemu" "$@"
    fi
    LD_PRELOAD=./shim.so
    export LD_PRELOAD
    exec "$qemu" "$@"
}

# start SIDE QEMU ARGUMENTS...: starts a QEMU whose monitor is its standard input and output.
start() {
    mkfifo "$1/in" || broken "$1/in cannot be made"
    eval "exec $(descriptor "$1")<>\"$1/in\""
    (become "$@") <"$1/in" >"$1/out" 2>"$1/stderr" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    processes="$processes $!"
    echo $! >"$1/process"
}

# greet SIDE: waits for the side's monitor.
greet() {
    until_time 30
    until grep -q '"QMP"' "$1/out" 2>/dev/null; do
        alive "$1" || broken "the $1's QEMU ended at start-up: $(tail -n 3 "$1/stderr")"
        before || broken "the $1's QEMU has no monitor after 30 s"
        pause
    done
    qmp "$1" '{"execute":"qmp_capabilities"}' || broken "the $1's monitor refuses to begin: $refusal"
}

calls=0
# ask SIDE COMMAND: sends the command with $calls as its id.
ask() {
    calls=$((calls + 1))
    printf '%s\n' "${2%\}},\"id\":\"c$calls\"}" >&"$(descriptor "$1")"
}
# qmp SIDE COMMAND: executes the command, and sets $reply to the answer. Fails if QEMU refuses it, with the error text in $refusal.
qmp() {
    refusal=''
    ask "$1" "$2"
    until_time 10
    while :; do
        reply=$(grep "\"id\": \"c$calls\"" "$1/out")
        [ -z "$reply" ] || break
        if ! alive "$1"; then
            refusal="its process has ended"
            return 1
        fi
        if ! before; then
            refusal="no answer within 10 s"
            return 1
        fi
        pause
    done
    case $reply in
        *'"error": {'*)
            refusal=$(printf '%s\n' "$reply" | sed 's/.*"desc": "\(.*\)"}.*/\1/')
            return 1
            ;;
    esac
}

# ---- a leg: one migration

# leg SOURCE DESTINATION SECONDS FINAL: begins a leg with its two sides, its time limit, and an expression for the statuses that end it.
leg() {
    from=$1 to=$2 limit=$3 final=$4
    taken=0 phase=before
    missed='' ended='' refused=''
    for side in "$from" "$to"; do
        # A side's first leg includes all that it has logged since its start.
        for log in qemu.log device.log out; do
            if [ -e "$side/in-a-leg" ] && [ -e "$side/$log" ]; then wc -c <"$side/$log"; else echo 0; fi >"$side/$log.start"
        done
        : >"$side/in-a-leg"
    done
    tell '%s -> %s\n' "$from" "$to"
}
# written SIDE LOG: prints what the side has logged in this leg.
written() { tail -c +$(($(cat "$1/$2.start") + 1)) "$1/$2"; }
# count SIDE EVENT [TEXT]: counts the lines of the event in this leg.
count() { written "$1" qemu.log | grep -cE "(^|[ :])$2 ${3:+.*$3}"; }
# sum SIDE EXPRESSION: adds up the numbers that follow the expression in this leg.
sum() { written "$1" qemu.log | awk -v before="$2" '{ if (match($0, before)) total += substr($0, RSTART + RLENGTH) + 0 } END { print total + 0 }'; }
# In this leg, one a line.
statuses() { written "$1" out | sed -n '/"event": "MIGRATION"/s/.*"status": "\([^"]*\)".*/\1/p'; }

# Succeeds if the source's migration has ended, and sets $ended to how.
is_over() {
    [ -z "$ended" ] || return 0
    if alive "$from"; then gone=; else gone=gone; fi
    ended=$(statuses "$from" | grep -xE "$final" | tail -n 1)
    ended=${ended:-$gone}
    [ -n "$ended" ]
}

# Succeeds if the next step has to be taken: no step was missed, and the migration has not ended.
due() {
    [ -z "$missed$refused" ] || return 1
    [ "$phase" != during ] || ! is_over
}
# took TEXT: records a step that was taken.
took() {
    taken=$((taken + 1))
    tell '  %s\n' "$1"
}
# wait_for TEXT CONDITION...
wait_for() {
    due || return 0
    text=$1
    shift
    until_time "$limit"
    until "$@"; do
        if [ "$phase" = during ] && is_over; then return 0; fi
        if ! before; then
            missed=$text
            return 0
        fi
        pause
    done
    took "$text"
}
held() { [ "$(word "$1" "$2")" -gt 0 ]; }
reached() { [ "$(word "$1" "$2")" -ge "$3" ]; }
# left_precopy SIDE PLACE: succeeds if the device's state is not PRE_COPY.
left_precopy() { [ "$(word "$1" "$2")" -ne 6 ]; }
has_logged() { [ "$(count "$1" "$2" "${4-}")" -ge "$3" ]; }
# guest_wrote SIDE ADDRESS: succeeds if the word of guest memory is not 0.
guest_wrote() {
    of_wait=$deadline
    qmp "$1" "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"xp /1wx $2\"}}" || return 1
    deadline=$of_wait
    printf '%s\n' "$reply" | grep -qE ': 0x0*[1-9a-f]'
}
# open_gate TEXT SIDE PLACE
open_gate() {
    due || return 0
    poke "$2" "$3"
    took "$1"
}
# limit_descriptors TEXT SIDE FREE|lift: a new descriptor gets the lowest free number, and the limit applies to the number.
limit_descriptors() {
    due || return 0
    command -v prlimit >/dev/null 2>&1 || broken "no prlimit here"
    # shellcheck disable=SC3045 # not POSIX, and everywhere
    number=$(ulimit -Sn)
    if [ "$3" != lift ]; then
        number=0
        free=$3
        while [ -e "/proc/$(process "$2")/fd/$number" ] || [ "$free" -gt 0 ]; do
            [ -e "/proc/$(process "$2")/fd/$number" ] || free=$((free - 1))
            number=$((number + 1))
        done
    fi
    prlimit --pid "$(process "$2")" --nofile="$number:" || broken "prlimit fails"
    took "$1"
}
# execute TEXT SIDE COMMAND
execute() {
    due || return 0
    if qmp "$2" "$3"; then took "$1"; else refused=$refusal; fi
}
# request TEXT SIDE COMMAND: does not await the answer.
request() {
    due || return 0
    ask "$2" "$3"
    took "$1"
}
# expect_refusal TEXT SIDE COMMAND WORDS
expect_refusal() {
    due || return 0
    if qmp "$2" "$3"; then
        missed="$1: it was accepted"
    else
        case $refusal in
            *"$4"*) took "$1" ;;
            *) missed="$1: the words were: $refusal" ;;
        esac
    fi
}
# send_signal TEXT SIDE SIGNAL
send_signal() {
    due || return 0
    kill "-$3" "$(process "$2")"
    took "$1"
}
# settings SIDE COMMAND
settings() { [ -n "$refused" ] || qmp "$1" "$2" || refused=$refusal; }

# listen: makes the destination listen on a free port, and sets $port to it.
listen() {
    [ -z "$refused" ] || return 0
    qmp "$to" '{"arguments":{"uri":"tcp:127.0.0.1:0"},"execute":"migrate-incoming"}' || { refused=$refusal; return 0; }
    qmp "$to" '{"execute":"query-migrate"}' || { refused=$refusal; return 0; }
    port=$(printf '%s\n' "$reply" | sed -n 's/.*"port": "\([0-9]*\)".*/\1/p')
    [ -n "$port" ] || broken "the destination listens, and names no port: $reply"
}
# migrate halted|running [URI]: starts the migration with the destination halted or running, to the URI or to $port.
migrate() {
    due || return 0
    [ "$1" != halted ] || kill -STOP "$(process "$to")"
    qmp "$from" "{\"arguments\":{\"uri\":\"${2-tcp:127.0.0.1:${port-}}\"},\"execute\":\"migrate\"}" || refused=$refusal
    phase=during
}

# await_end PLACE: waits for the end at the source, and then opens all gates (at PLACE on the boards) for the destination's end.
await_end() {
    [ -z "$refused" ] || return 0
    until_time "$limit"
    until is_over; do
        before || return 0
        pause
    done
    # A gate may still hold the destination, which must end by itself.
    for side in "$from" "$to"; do [ ! -e "$side/board" ] || poke "$side" "$1"; done
    kill -CONT "$(process "$to")" 2>/dev/null
    phase=afterwards
}
# await_endless ITERATIONS WINDOWS ACKS: waits until every step is taken, every ACK is counted, and this many iterations or bandwidth windows
# have followed. A shell takes that for a migration that goes on forever.
await_endless() {
    [ -z "$missed$refused" ] && ! is_over || return 0
    until_time "$limit"
    until has_logged "$from" source_return_path_thread_switchover_acked "$3"; do
        if is_over || ! before; then return 0; fi
        pause
    done
    iterations=$(($(count "$from" savevm_state_iterate) + $1))
    windows=$(($(count "$from" migrate_transferred) + $2))
    until has_logged "$from" savevm_state_iterate "$iterations" || has_logged "$from" migrate_transferred "$windows"; do
        if is_over || ! before; then return 0; fi
        pause
    done
    ended="goes on"
}

# await_silence: waits until every step is taken and the source's monitor has stopped answering.
await_silence() {
    [ -z "$missed$refused" ] && ! is_over || return 0
    asked=0
    while qmp "$from" '{"execute":"query-status"}'; do
        asked=$((asked + 1))
        if is_over || [ "$asked" -gt 100 ]; then return 0; fi
        pause
    done
    ! alive "$from" || ended="goes on"
}

# run_state SIDE: sets $state to the run state in which the side settles, or to gone if its process has ended.
run_state() {
    until_time 5
    resting=$deadline
    while :; do
        if ! qmp "$1" '{"execute":"query-status"}'; then
            state=gone
            return
        fi
        state=$(printf '%s\n' "$reply" | sed -n 's/.*"status": "\([^"]*\)".*/\1/p')
        case $state in finish-migrate | inmigrate) ;; *) return ;; esac
        [ "$(date +%s)" -le "$resting" ] || return
        pause
    done
}
# final_status: sets $last to the destination's final status, for which it has 5 s.
final_status() {
    until_time 5
    while :; do
        if alive "$to"; then gone=; else gone=gone; fi
        last=$(statuses "$to" | grep -xE "$final" | tail -n 1)
        if [ -n "$last$gone" ] || ! before; then break; fi
        pause
    done
    last=${last:-none}
}

# ---- checks

differs=0
# check WHAT EXPECTED FOUND
check() {
    if [ "$2" = "$3" ]; then
        tell '  as recorded: %s: %s\n' "$1" "$3"
    else
        tell '  DIFFERS:     %s: expected %s, found %s\n' "$1" "$2" "$3"
        differs=1
    fi
}
check_ending() { check "the source's migration" "$1" "${ended:-still ${missed:+waits: $missed, }$(statuses "$from" | tail -n 1)}"; }
# check_steps OWED: checks the number of steps taken. A source that has ended may leave steps that wait for its destination.
check_steps() {
    if [ -n "$missed" ] || [ "$taken" -lt "$1" ]; then check "steps taken" "$1" "$taken${missed:+ (missed: $missed)}"; fi
}
check_guests() {
    run_state "$from"
    check "the source's guest" "$1" "$state"
    final_status
    check "the destination's migration" "$2" "$last"
    run_state "$to"
    check "the destination's guest" "$3" "$state"
}
# check_refusal WORDS
check_refusal() {
    case $refused in
        *"$1"*) tell '  as recorded: refused: %s\n' "$refused" ;;
        *) check refused "$1" "${refused:-nothing}" ;;
    esac
}
# rule ID STATEMENT FOUND
rule() { tell 'rule %s: %s\n  found when recorded: %s\n' "$1" "$2" "$3"; }
# shows SIDE LOG WHICH EXPRESSION: prints the line that shows the broken rule, the first or the last of its kind in this leg.
shows() {
    line=$(written "$1" "$2" | grep -nE "$4" | if [ "$3" = first ]; then head -n 1; else tail -n 1; fi)
    if [ -n "$line" ]; then
        tell '  %s %s\n' "$1" "$line" | cut -c 1-200
    else
        tell '  DIFFERS:     %s: no line like: %s\n' "$1" "$4"
        differs=1
    fi
}
# excerpt SIDE: prints the handshake's lines of the side's log, without the queries.
excerpt() {
    tell '%s, %s/qemu.log (the last 30 lines of this kind):\n' "$1" "$1"
    grep -nE '[ :](migrate_set_state|migrate_error|runstate_set|source_return_path_thread_switchover_acked|migration_thread_low_pending|migration_precopy_complete|loadvm_approve_switchover[a-z_]*|migration_request_switchover_ack[a-z_]*|loadvm_state_switchover_ack_needed|migrate_send_rp_message|process_incoming_migration_co_end|vfio_save_iterate_start) |error: ' \
        "$1/qemu.log" | tail -n 30 | cut -c 1-180 | sed 's/^/  /' | plain
}
verdict() {
    if [ "$differs" = 0 ]; then
        tell 'reproduced: %s\n' "$1"
        exit 0
    fi
    tell 'not reproduced: %s\n' "$1"
    exit 1
}
