#!/bin/sh
# First boot of a Kinflow device: wait for the network and for a clock that can be right, install, join, start.
# Started by kinflow-first-boot.service until it has succeeded once; every step may be repeated.
# What it is to do stands in /etc/kinflow/first-boot.conf. KINFLOW_ROOT is another root than /, for tests.

set -eu
umask 022

ROOT=${KINFLOW_ROOT:-}
SETTINGS=$ROOT/etc/kinflow
CONF=$SETTINGS/first-boot.conf
PROGRAMS=$ROOT/usr/local/lib/kinflow
WORK=$ROOT/var/lib/kinflow-first-boot
HOME_FOLDER=$ROOT/var/lib/kinflow
LOOK_EVERY_S=${KINFLOW_LOOK_EVERY_S:-5}
CLOCK_WAIT_S=${KINFLOW_CLOCK_WAIT_S:-60}

say() { printf 'kinflow: %s\n' "$*"; }

# The code and the camera's address may hold secrets: they are read, and never said.
read_conf() {
    TIER='' EDGE='' EDGE_PORT='' MADE_AT='' BUNDLE_SHA256='' EDGE_PIN='' JOIN=''
    # shellcheck source=/dev/null
    . "$CONF"
    if [ -f "$SETTINGS/join-code" ]; then JOIN=$(cat "$SETTINGS/join-code"); fi
    case $EDGE in *:*) address="[$EDGE]:$EDGE_PORT" ;; *) address=$EDGE:$EDGE_PORT ;; esac
}

boot_folder() {
    if [ -d "$ROOT/boot/firmware" ]; then echo "$ROOT/boot/firmware"; else echo "$ROOT/boot"; fi
}

# Anything that answers on the edge's port will do; who it is, fetching and joining find out.
edge_answers() { "$PROGRAMS/fetch" look "$EDGE" "$EDGE_PORT"; }

wait_for_network() {
    if [ -z "$EDGE" ]; then return; fi
    told=no
    until edge_answers; do
        if [ $told = no ]; then say "waiting until $EDGE answers on port $EDGE_PORT"; fi
        told=yes
        sleep "$LOOK_EVERY_S"
    done
    say "$EDGE answers"
}

# A board without a battery starts in the past. Certificates would be "not yet valid" there, so its clock is put to
# when this card was made, at the least; the exact time comes from NTP. Joining asks the edge for a signed time of its own.
set_clock() {
    if ! command -v timedatectl > /dev/null 2>&1; then CLOCK_WAIT_S=0; fi
    waited=0
    while [ "$waited" -lt "$CLOCK_WAIT_S" ]; do
        if [ "$(timedatectl show --property=NTPSynchronized --value 2> /dev/null)" = yes ]; then
            say 'the clock is right'
            return
        fi
        sleep 1
        waited=$((waited + 1))
    done
    if [ "$(date +%s)" -lt "$MADE_AT" ]; then
        date -u -s "@$MADE_AT" > /dev/null
        say 'no time source answers; the clock is put to when this card was made'
    else
        say 'no time source answers; the clock can be right'
    fi
}

check_bundle() {
    if [ -z "$BUNDLE_SHA256" ]; then return 0; fi
    [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$BUNDLE_SHA256" ]
}

# The bundle lies on the card, or the edge serves it.
find_bundle() {
    BUNDLE=''
    for one in "$(boot_folder)"/kinflow-*.tar "$SETTINGS"/kinflow-*.tar "$WORK"/kinflow.tar; do
        if [ ! -f "$one" ]; then continue; fi
        if check_bundle "$one"; then
            BUNDLE=$one
            say "the bundle lies on the card: $(basename "$one")"
            return
        fi
        say "$(basename "$one") is not the bundle that this card was made for; it is left alone"
    done
    fetch_bundle
}

fetch_bundle() {
    if [ -z "$EDGE" ]; then
        say 'there is no bundle on the card, and no edge server to fetch one from'
        return 1
    fi
    case $(uname -m) in aarch64 | arm64) architecture=arm64 ;; *) architecture=x86_64 ;; esac
    authority=$SETTINGS/edge-ca.pem
    if [ ! -f "$authority" ] && [ -n "$EDGE_PIN" ]; then
        "$PROGRAMS/fetch" authority "https://$address/api/v1/trust/ca" "$authority" "$EDGE_PIN"
    fi
    if [ ! -f "$authority" ]; then authority=''; fi
    say "fetching the bundle from $EDGE"
    "$PROGRAMS/fetch" get "https://$address/bundles/$architecture.tar" "$WORK/kinflow.tar" \
        "$BUNDLE_SHA256" "$authority"
    BUNDLE=$WORK/kinflow.tar
}

unpack_bundle() {
    rm -rf "$WORK/bundle"
    mkdir "$WORK/bundle"
    tar -C "$WORK/bundle" --no-same-owner -xf "$BUNDLE"
    INSTALLER=$(find "$WORK/bundle" -maxdepth 2 -name install.sh | head -n 1)
    [ -n "$INSTALLER" ] || { say 'the bundle has no install.sh'; return 1; }
}

place_settings() {
    if [ ! -f "$SETTINGS/kinflow.toml" ] || [ -f "$HOME_FOLDER/kinflow.toml" ]; then return 0; fi
    mkdir -p "$HOME_FOLDER"
    cp "$SETTINGS/kinflow.toml" "$HOME_FOLDER/kinflow.toml"
    chmod 600 "$HOME_FOLDER/kinflow.toml"
    if id kinflow > /dev/null 2>&1; then chown kinflow: "$HOME_FOLDER/kinflow.toml"; fi
}

install_tier() {
    set -- "$TIER" --yes --from "$(dirname "$INSTALLER")"
    if [ -n "$EDGE" ] && [ "$TIER" = agent ]; then set -- "$@" --edge "$address"; fi
    if [ -n "$JOIN" ]; then set -- "$@" --join "$JOIN"; fi
    say "installing the $TIER"
    bash "$INSTALLER" "$@"
}

# The code has been used: nothing that reads this card later shall find it.
forget() {
    if [ -n "$JOIN" ]; then
        for one in "$(boot_folder)/user-data" "$ROOT"/var/lib/cloud/instance/user-data.txt* \
            "$ROOT"/var/lib/cloud/instances/*/user-data.txt* "$ROOT"/var/lib/cloud/instances/*/cloud-config.txt; do
            if [ -f "$one" ]; then sed -i "s/$JOIN/used/g" "$one"; fi
        done
    fi
    rm -f "$SETTINGS/join-code" "$SETTINGS/kinflow.toml" "$CONF"
    rm -rf "$WORK"
}

main() {
    mkdir -p "$WORK"
    chmod 700 "$WORK"
    read_conf
    wait_for_network
    set_clock
    find_bundle
    unpack_bundle
    place_settings
    install_tier
    place_settings
    forget
    systemctl disable kinflow-first-boot.service > /dev/null 2>&1 || true
    say 'this device is set up'
}

main
