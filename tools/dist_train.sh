#!/usr/bin/env bash
# Train in several processes: dist_train.sh CONFIG GPUS [options of train.py].
# Without a GPU, GPUS is the number of processes on the CPU (they talk through gloo).
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -e

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi

CONFIG=$1
GPUS=$2

PYTHONPATH="$(dirname "$0")/..":$PYTHONPATH \
${PYTHON:-python} -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
