# shellcheck shell=bash
# What a line of harness/lab/migrations predicts for one QEMU on one kernel. Sourced by the job migrate in the guest and by judge on the host.

# expect_of FOLDER MODE END ACKS END_WITHOUT_V2 ACKS_WITHOUT_V2: sets `end` and `acks` to what the migrations of FOLDER end with. The job has
# left there what the kernel and the QEMU can do.
expect_of() {
    local mode=$2
    end=$3 acks=$4
    if [[ -f $1/legacy-only ]]; then
        # One ACK for all devices, and a REINIT goes unnoticed.
        end=completed acks=1
        if [[ $mode == off ]]; then acks=0; fi
    elif [[ ! -f $1/has-v2 ]]; then
        end=$5 acks=$6
    fi
}
