#!/usr/bin/env bash
# The book's convnets on MNIST, from scratch: ./runs/book.sh MNIST.npz [FOLDER]; some minutes each on two cores.
# docs/training.md says what accuracy to expect.
set -euo pipefail

data=${1:?"usage: $0 MNIST.npz [FOLDER]"}
runs=${2:-$(dirname "$0")}

train() {
    local network=$1
    shift
    spyglass train "$network" --data "$data" --out "$runs/$network" "$@"
}

train mnist-convnet
train mnist-convnet-functional
train lenet5 --epochs 20 --batch-size 32 --optimizer sgd --learning-rate 0.1
train simple-cnn --epochs 6
train mnist-convnet-no-pooling --epochs 3
