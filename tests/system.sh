#!/bin/sh
# What the tests use of the system: installs it where it may, else names each missing one and what is skipped.
export PATH="$PATH:/usr/sbin"
wanted="mosquitto:mosquitto:MQTT-tests mosquitto_sub:mosquitto-clients:MQTT-tests socat:socat:serial-tests node:nodejs:OPC-UA-interoperability npm:npm:OPC-UA-interoperability"
missing=""
for entry in $wanted; do
    command -v "${entry%%:*}" >/dev/null 2>&1 || missing="$missing $entry"
done
[ -z "$missing" ] && exit 0
packages=$(for entry in $missing; do rest=${entry#*:}; echo "${rest%%:*}"; done | sort -u | tr '\n' ' ')
root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$root" ] || sudo -n true 2>/dev/null; }; then
    echo "installing for the tests: $packages"
    $root apt-get update -qq >/dev/null 2>&1
    # A service that starts by itself would hold the usual port: the tests start their own.
    for package in $packages; do
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "could not install $package"
    done
fi
for entry in $missing; do
    rest=${entry#*:}
    command -v "${entry%%:*}" >/dev/null 2>&1 || echo "missing: ${rest%%:*} (skipped without it: ${rest#*:}). Install: sudo apt-get install ${rest%%:*}"
done
exit 0
