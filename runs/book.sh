#!/usr/bin/env bash
# The book's convnets on MNIST, from scratch: ./runs/book.sh MNIST.npz [FOLDER [FLAGS of spyglass train …]]
# About half an hour on two cores, eleven minutes of it for the network without poolings; docs/training.md says
# what accuracy to expect. Run again it leaves out what is done, and goes on with what was interrupted.
set -euo pipefail

data=${1:?"usage: $0 MNIST.npz [FOLDER [FLAGS …]]"}
runs=${2:-$(dirname "$0")}
flags=("${@:3}")

train() {
    local network=$1
    shift
    local run=$runs/$network
    if [[ -e $run/run.json ]]; then
        echo "$network: done, in $run"
        return
    fi
    if [[ -e $run/backup.npz ]]; then
        set -- "$@" --resume
    fi
    spyglass train "$network" --data "$data" --out "$run" "$@" "${flags[@]}"
}

train lenet5 --epochs 20 --validation-share 0.05
train mnist-convnet
train mnist-convnet-functional
train simple-cnn --epochs 6
train mnist-convnet-no-pooling --epochs 3
