#!/usr/bin/env bash
# Train the book's convnets on MNIST from scratch: ./runs/book.sh MNIST.npz [FOLDER [FLAGS of spyglass train …]]
# Takes about half an hour on two cores, eleven minutes of it for the network without poolings. docs/training.md lists
# the accuracies to expect. A second call skips finished runs and resumes interrupted ones.
set -euo pipefail
. "$(dirname "$0")/training.bash"

data=${1:?"usage: $0 MNIST.npz [FOLDER [FLAGS …]]"}
runs=${2:-$(dirname "$0")}
flags=("${@:3}")

book() {
    train "$1" "$1" --data "$data" "${@:2}" "${flags[@]}"
}

book lenet5 --epochs 20 --validation-share 0.05
book mnist-convnet
book mnist-convnet-functional
book simple-cnn --epochs 6
book mnist-convnet-no-pooling --epochs 3
