# For the scripts beside this file: `train RUN NETWORK [FLAGS of spyglass train …]` trains into the folder $runs/RUN.
# What is done is left out, and what was interrupted goes on.
train() {
    local run=$runs/$1 name=$1 network=$2
    shift 2
    if [[ -e $run/run.json ]]; then
        echo "$name: done, in $run"
        return
    fi
    if [[ -e $run/backup.npz ]]; then
        set -- "$@" --resume
    fi
    spyglass train "$network" --out "$run" "$@"
}
