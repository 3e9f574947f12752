#!/bin/sh
# Makes the two models of the two-tank rig again: `make models`, or sh configs/models/make.sh BIN [OUT [twin|detector]].
# Recordings of the healthy plant, with stops: 6 hours with a temporary flow meter between the tanks for the twin,
# 12 hours for the detector, whose limit is a rare event.
set -eu
bin=${1:-.venv/bin}
here=$(dirname "$0")
out=${2:-$here}
which=${3:-all}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$which" != detector ]; then
    "$bin/python" -m hil.record --out "$work/healthy-6h.csv" --hours 6 --seed 1 --schedule --reference
    "$bin/edgetwin" fit twin "$work/healthy-6h.csv" --out "$out/two-tank.twin.json" \
        --inputs pump/speed,valve/position --outputs upper/level,lower/level,pump/flow,pump/pressure \
        --virtual upper/transfer_flow --where drive/state=2 --settle 30 --units "$here/../two-tank.csv" \
        --asset rig --reason "demonstration"
    "$bin/edgetwin" fit loop "$work/healthy-6h.csv" --twin "$out/two-tank.twin.json" --where drive/state=2 \
        --loop "lower/level->pump/speed setpoint=control/setpoint low=40 high=85"
fi
if [ "$which" != twin ]; then
    "$bin/python" -m hil.record --out "$work/healthy-12h.csv" --hours 12 --seed 3 --schedule
    "$bin/edgetwin" fit detector "$work/healthy-12h.csv" --out "$out/two-tank.detector.onnx" \
        --tags pump/speed,pump/flow,pump/pressure,valve/position,upper/level,lower/level,motor/current,motor/vibration \
        --where drive/state=2 --settle 30 --units "$here/../two-tank.csv"
    # Whoever has the package has this file: its hash in the package stands for a signature.
    rm -f "$out/two-tank.detector.onnx.sig"
    if [ "$out" = "$here" ]; then
        (cd "$here" && sha256sum two-tank.detector.onnx) > "$here/../../agent/runtime/admission/shipped.sha256"
    fi
fi
