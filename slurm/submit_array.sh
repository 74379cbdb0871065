#!/bin/bash
# Submits a sweep as N shards and a dependent run that computes what is missing and makes the sweep file:
#   slurm/submit_array.sh JOB.toml N [OPTION...] [-- --set KEY=VALUE...]
# The options are sbatch's, for both. Prints the numbers of the array and of the dependent job, one a line. Refuses an N
# that is no number above 1.
set -eu

if [ $# -lt 2 ] || ! [[ $2 =~ ^[0-9]+$ ]] || [ "$2" -lt 2 ]; then
  echo "usage: slurm/submit_array.sh JOB.toml N [OPTION...] [-- --set KEY=VALUE...], with N above 1" >&2
  exit 2
fi
job=$1 shards=$2
shift 2
options=()
while [ $# != 0 ] && [ "$1" != -- ]; do
  options+=("$1")
  shift
done
[ $# = 0 ] || shift

ACTSWEEP_SLURM=$(cd "$(dirname "$0")" && pwd)
export ACTSWEEP_SLURM
array=$(sbatch --parsable "${options[@]}" --array="0-$((shards - 1))" "$ACTSWEEP_SLURM/array.sbatch" "$job" "$@")
array=${array%%;*} # on a federation, ";CLUSTER" follows
# Afterany: where an element has failed, its segments are computed here.
last=$(sbatch --parsable "${options[@]}" --dependency="afterany:$array" "$ACTSWEEP_SLURM/sweep.sbatch" "$job" "$@")
printf '%s\n' "$array" "${last%%;*}"
