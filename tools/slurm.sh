#!/usr/bin/env bash
# One training on several nodes of a SLURM cluster, for longer than a job may take:
#   sbatch tools/slurm.sh imagenet_vit_small data.path=/data/imagenet --out runs/a
# Before the time is up SLURM sends SIGTERM; the run saves and exits with 130, and the job is queued again, where it goes
# on from that step. The folder of --out must lie on a file system that all nodes see.
#SBATCH --job-name=vit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append

status=0
srun uv run --no-sync vit train "$@" --resume || status=$?
if [ "$status" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
