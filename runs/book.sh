#!/usr/bin/env bash
# The book's convnets on MNIST, from scratch: ./runs/book.sh MNIST.npz [FOLDER [FLAGS of spyglass train …]]
# Some minutes for each on two cores; docs/training.md says what accuracy to expect.
set -euo pipefail

data=${1:?"usage: $0 MNIST.npz [FOLDER [FLAGS …]]"}
runs=${2:-$(dirname "$0")}
flags=("${@:3}")

train() {
    local network=$1
    shift
    spyglass train "$network" --data "$data" --out "$runs/$network" "$@" "${flags[@]}"
}

train lenet5 --epochs 20 --validation-share 0.05
train mnist-convnet
train mnist-convnet-functional
train simple-cnn --epochs 6
train mnist-convnet-no-pooling --epochs 3
