# shellcheck shell=bash
# What the jobs of the lab guest share: mediated devices, and the programs of this repository. Sourced inside the guest, not run.

# A command that fails where nobody looks is no finding.
set -E
trap 'echo "$0: line $LINENO: $BASH_COMMAND failed"; exit 2' ERR

ackmatrix=${ACKMATRIX:-$LAB_REPOSITORY/.build/release/ackmatrix}
[[ -x $ackmatrix ]] || { echo "$ackmatrix is missing: build it on the host first (swift build -c release --product ackmatrix)"; exit 2; }
cd "$LAB_RESULTS"

# make_device TYPE UUID: makes a mediated device of the type mtty-1, mtty-2 or ackmatrix-scripted.
make_device() {
    printf '%s\n' "$2" >"/sys/class/mdev_bus/${1%-*}/mdev_supported_types/$1/create" || { echo "no device of the type $1 can be made"; exit 2; }
}

# remove_device UUID...: removes devices; some drivers keep their state, so each test has new ones.
remove_device() {
    local device
    for device in "$@"; do printf '1\n' >"/sys/bus/mdev/devices/$device/remove"; done
}

# knob UUID NAME: writes standard input to a knob of a scripted device.
knob() {
    # The driver takes each write for a whole text, and a pipe may bring the text in pieces.
    dd of="/sys/bus/mdev/devices/$1/$2" bs=64K iflag=fullblock conv=notrunc status=none || { echo "knob $2: $(cat "/sys/bus/mdev/devices/$1/refusal")"; exit 2; }
}

first=11111111-1111-4111-8111-111111111111
second=22222222-2222-4222-8222-222222222222

# failed_checks FILE: prints the names of the checks that failed, one a line.
failed_checks() {
    sed -nE 's/^not ok [0-9]+ - ([a-z0-9-]+): .*/\1/p' "$1"
}
