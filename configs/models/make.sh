#!/bin/sh
# Makes the two models of the two-tank rig again: `make models`, or sh configs/models/make.sh BIN [OUT].
# A recording of the healthy plant (12 hours with stops, a temporary flow meter between the tanks), then both fits.
set -eu
bin=${1:-.venv/bin}
here=$(dirname "$0")
out=${2:-$here}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/python" -m hil.record --out "$work/healthy.csv" --hours 12 --seed 3 --schedule --reference
"$bin/edgetwin" fit twin "$work/healthy.csv" --out "$out/two-tank.twin.json" \
    --inputs pump/speed,valve/position --outputs upper/level,lower/level,pump/flow,pump/pressure \
    --virtual upper/transfer_flow --where drive/state=2 --settle 10 --units "$here/../two-tank.csv"
"$bin/edgetwin" fit detector "$work/healthy.csv" --out "$out/two-tank.detector.onnx" \
    --tags pump/speed,pump/flow,pump/pressure,valve/position,upper/level,lower/level,motor/current,motor/vibration \
    --where drive/state=2 --settle 30 --units "$here/../two-tank.csv"
