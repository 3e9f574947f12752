#!/bin/sh
# What the tests use of the system: installs it where it may, else names each missing one and what is skipped.
export PATH="$PATH:/usr/sbin"
# command or file : package : what is skipped without it
wanted="mosquitto:mosquitto:MQTT mosquitto_sub:mosquitto-clients:MQTT socat:socat:serial-lines gcc:gcc:Modbus-against-libmodbus
/usr/include/modbus/modbus.h:libmodbus-dev:Modbus-against-libmodbus mbpoll:mbpoll:the-virtual-PLC-against-mbpoll
/usr/lib/postgresql:postgresql:the-receiving-end
node:nodejs:OPC-UA-against-node-opcua npm:npm:OPC-UA-against-node-opcua"

have() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ]; }
package_of() { rest=${1#*:}; echo "${rest%%:*}"; }

missing=""
for entry in $wanted; do have "${entry%%:*}" || missing="$missing $entry"; done
[ -z "$missing" ] && exit 0
root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$root" ] || sudo -n true 2>/dev/null; }; then
    packages=$(for entry in $missing; do package_of "$entry"; done | sort -u | tr '\n' ' ')
    echo "installing for the tests: $packages"
    $root apt-get update -qq >/dev/null 2>&1
    for package in $packages; do
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "could not install $package"
    done
fi
for entry in $missing; do
    have "${entry%%:*}" || echo "missing: $(package_of "$entry") (skipped without it: ${entry##*:}). Install: sudo apt-get install $(package_of "$entry")"
done
exit 0
