# shellcheck shell=bash
# QMP in bash, for the jobs of the lab guest: one connection at a time over TCP inside the guest. Sourced, not run.

# qmp_open PORT: connects; `qmp` is the descriptor. A QEMU that starts is waited for, 120 seconds at most.
qmp_open() {
    local end=$((SECONDS + 120))
    until { exec {qmp}<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; do
        (( SECONDS < end )) || { echo "no QMP on port $1 after 120 s"; exit 2; }
        sleep 0.1
    done
    IFS= read -r -t 120 -u "$qmp" _ || { echo "no greeting on port $1"; exit 2; }
    qmp_do '{"execute": "qmp_capabilities"}'
}

qmp_close() {
    exec {qmp}>&-
}

# qmp_do COMMAND: sends a command; `answer` is what it returned. Events are passed over. Ends the job if the command is refused.
qmp_do() {
    tr -d "\n" <<<"$1" >&"$qmp"
    while IFS= read -r -t 120 -u "$qmp" answer; do
        case $answer in
            '{"return"'*) return 0 ;;
            '{"error"'*) echo "QMP: $1: $answer"; exit 2 ;;
        esac
    done
    echo "QMP: $1: no answer: QEMU has ended, or is silent for 120 s"
    exit 2
}

# qmp_field NAME: prints a field of `answer` that is a word in quotes.
qmp_field() {
    sed -nE "s/.*\"$1\": \"([^\"]*)\".*/\1/p" <<<"$answer"
}
