# For the scripts in this folder: `train RUN NETWORK [FLAGS of spyglass train …]` trains into the folder $runs/RUN.
# It skips a finished run and resumes an interrupted one.
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
