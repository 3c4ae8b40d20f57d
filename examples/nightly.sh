#!/usr/bin/env bash
# A nightly job: takes up the documents of a folder, and takes them back when the index is damaged or finds less than it must.
#   nightly.sh SOURCE INDEX DATASET FLOOR [MEASURE]
# A server with --follow takes up the new generation by itself, or the old one again.
set -euo pipefail

source=$1 index=$2 dataset=$3 floor=$4 measure=${5:-nDCG@10}

rag sync "$index" --corpus "$source" --max-deletes 20% --keep 3

undo() {
  echo "nightly: $1: going back to the generation before" >&2
  rag rollback "$index" >&2
  exit 1
}

rag verify "$index" || undo "the index is damaged"
value=$(rag eval "$index" --dataset "$dataset" --measures "$measure" --json |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["measures"][sys.argv[1]]["mean"])' "$measure") ||
  undo "it cannot be measured"
python3 -c 'import sys; sys.exit(not float(sys.argv[1]) >= float(sys.argv[2]))' "$value" "$floor" ||
  undo "$measure is $value, below $floor"
echo "nightly: $measure is $value; $index is up to date"
