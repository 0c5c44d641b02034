# shellcheck shell=bash
# User, folders, launcher, settings, units: all that systemd and a person find.

make_user() {
    if [[ $UNDER ]]; then
        say "  Under $UNDER nobody is added."
        return
    fi
    if ! id -u "$SERVICE_USER" > /dev/null 2>&1; then
        change useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$SERVICE_USER"
    fi
}

# Programs are root's; versions and `current` belong to the user that updates them. The sticky bit keeps that user from
# moving away what root runs: bin/, and a version while it is made.
make_folders() {
    if [[ $UNDER ]]; then
        change mkdir -p -- "$PREFIX/bin" "$VERSIONS" "$STATE" "$UNITS"
        return
    fi
    change install -d -m 1775 -o root -g "$SERVICE_USER" -- "$PREFIX"
    change install -d -m 755 -o root -g root -- "$PREFIX/bin"
    change install -d -m 1775 -o root -g "$SERVICE_USER" -- "$VERSIONS"
    change install -d -m 750 -o "$SERVICE_USER" -g "$SERVICE_USER" -- "$STATE"
    # Data that an earlier uninstall has left is root's.
    if [[ -d $STATE && $DRY_RUN == no && $(find "$STATE" -maxdepth 1 ! -user "$SERVICE_USER" -print -quit) ]]; then
        change chown -R "$SERVICE_USER:$SERVICE_USER" -- "$STATE"
    fi
}

# What units and people call: it belongs to no version, and never runs Kinflow as root.
write_launcher() {
    write_file "$PREFIX/bin/kinflow" 755 << TEXT
#!/bin/sh
# Start the Kinflow that is switched on, as the user that it runs as. Written by Kinflow's install.sh.
KINFLOW_HOME=\${KINFLOW_HOME:-$STATE}
export KINFLOW_HOME
# A person's own Python packages are not Kinflow's.
unset PYTHONPATH PYTHONHOME
if [ -z "$UNDER" ] && [ "\$(id -u)" = 0 ]; then
    exec setpriv --reuid $SERVICE_USER --regid $SERVICE_USER --init-groups -- "$PREFIX/bin/kinflow" "\$@"
fi
# The state is not everybody's: a person who asks about it becomes root first, and by that the user above.
if [ -z "$UNDER" ] && [ "\$(id -un)" != $SERVICE_USER ] && [ ! -w "\$KINFLOW_HOME" ] && command -v sudo > /dev/null; then
    case \${1:-} in
        agent | edge | cloud | join | calibrate | config | doctor | time | update | support-bundle)
            exec sudo -- "$PREFIX/bin/kinflow" "\$@" ;;
    esac
fi
# While a new version is on trial it is not \`current\` alone that decides (select_version.py).
folder=\$("$PYTHON" -I "$PREFIX/bin/system/select_version.py" "$PREFIX" "\$KINFLOW_HOME" "\$@") || folder=$CURRENT
exec "\$folder/bin/kinflow" "\$@"
TEXT
    # For uninstalling without the folder that this was installed from.
    if [[ $SYSTEM_PARTS != "$PREFIX/bin/system" ]] && ! same "$SYSTEM_PARTS" "$PREFIX/bin/system"; then
        change rm -rf -- "$PREFIX/bin/system"
        change cp -R -- "$SYSTEM_PARTS" "$PREFIX/bin/system"
    fi
    same "$ROOT/install.sh" "$PREFIX/bin/install.sh" || change cp -f -- "$ROOT/install.sh" "$PREFIX/bin/install.sh"
    change chmod -R go-w,a+rX -- "$PREFIX/bin"
    if [[ ! -e $COMMAND_LINK || -L $COMMAND_LINK ]]; then
        if [[ $(readlink -- "$COMMAND_LINK") == "$PREFIX/bin/kinflow" ]]; then return; fi
        change mkdir -p -- "$(dirname -- "$COMMAND_LINK")"
        change ln -sfn -- "$PREFIX/bin/kinflow" "$COMMAND_LINK"
    else
        say "  $COMMAND_LINK is somebody else's and stays; call $PREFIX/bin/kinflow."
    fi
}

same() { diff -rq -- "$1" "$2" > /dev/null 2>&1; }

# kinflow.toml is its owner's: a section that is there stays as it is, and one that this tier needs is added below.
write_settings() {
    local file=$STATE/kinflow.toml text=''
    if [[ -f $file ]]; then text=$(cat -- "$file"); fi
    local new
    new=$(settings_for "$text")
    if [[ $text && -z $new ]]; then
        say "  $file stays as it is."
        if [[ $CAMERA || $BROKER ]]; then say '  It names a camera or a broker already: change it there.'; fi
        return
    fi
    if [[ -z $text ]]; then text="# Kinflow's settings on this machine. kinflow config show --effective lists every one there is."; fi
    if [[ $DRY_RUN == yes ]]; then
        say "+ write $file"
        return
    fi
    # As the owner: root writes nothing into a folder in which somebody else can lay links.
    # shellcheck disable=SC2016 # the inner shell expands it
    printf '%s\n%s\n' "$text" "$new" | as_service sh -c 'umask 077 && cat > "$1.part" && mv -f -T "$1.part" "$1"' sh "$file"
}

# settings_for TEXT: the sections that this tier needs and TEXT lacks.
settings_for() {
    case $TIER in
        agent)
            if [[ $BROKER ]] && ! has_section "$1" '[broker]'; then printf '\n[broker]\nurl = %s\n' "$(toml_text "$BROKER")"; fi
            if has_section "$1" '[[agent.cameras]]'; then return; fi
            if [[ -z $CAMERA ]]; then CAMERA=$(find_camera); fi
            if [[ $CAMERA ]]; then
                printf '\n[[agent.cameras]]\nid = "camera-1"\nsource = %s\n' "$(toml_text "$CAMERA")"
            fi
            ;;
        edge)
            if ! has_section "$1" '[edge]'; then
                printf '\n[edge]\n# Devices and people reach it from the network.\nhost = "0.0.0.0"\nallow_lan = true\n'
            fi
            if ! has_section "$1" '[broker]' && port_is_taken 1883; then
                printf '\n[broker]\n# 1883 is taken by another program on this machine.\nport = 1884\n'
            fi
            ;;
        cloud)
            if ! has_section "$1" '[cloud]'; then
                printf '\n[cloud]\n# Edge servers reach it from the network.\nhost = "0.0.0.0"\nallow_lan = true\n'
            fi
            ;;
    esac
}

has_section() {
    local line
    while IFS= read -r line; do
        if [[ $line == "$2"* ]]; then return 0; fi
    done <<< "$1"
    return 1
}

# A text as TOML writes it.
toml_text() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# The camera that is plainly there; nothing when there is none.
find_camera() {
    if has rpicam-hello && [[ $(rpicam-hello --list-cameras 2> /dev/null) == *'0 : '* ]]; then
        printf 'picamera:0'
    elif [[ -e /dev/video0 && -z $UNDER ]]; then
        printf '/dev/video0'
    fi
}

port_is_taken() { [[ -z $UNDER ]] && (exec 7<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# --- units ------------------------------------------------------------------------------------------------------------

# Those of the groups that a camera needs and this machine has; systemd starts nothing in a group that is not there.
camera_groups() {
    local group found=()
    for group in video render gpio; do
        if [[ -z $UNDER ]] && getent group "$group" > /dev/null; then found+=("$group"); fi
    done
    printf '%s' "${found[*]}"
}

# What this board's profile leaves the agent beside the system itself (`kinflow hardware`); elsewhere a share.
memory_limit() {
    local said=''
    if [[ $TIER == agent && -z $UNDER ]]; then said=$("$PREFIX/bin/kinflow" hardware --json 2> /dev/null) || true; fi
    if [[ $said =~ \"unit_memory_mb\":\ *([0-9]+) ]]; then printf '%sM' "${BASH_REMATCH[1]}"; else printf '80%%'; fi
}

# The same for a GPS receiver on a serial line.
serial_groups() {
    if [[ -z $UNDER ]] && getent group dialout > /dev/null; then printf dialout; fi
}

rendered() {
    # A key that an older systemd does not know is a warning in each of its logs.
    local unknown='^$'
    if (($(systemd_version) < 254)); then unknown='^Restart\(Steps\|MaxDelaySec\)='; fi
    sed -e "/$unknown/{/./d}" \
        -e "s|@BIN@|$PREFIX/bin|g; s|@PREFIX@|$PREFIX|g; s|@HOME@|$STATE|g; s|@STATE@|kinflow|g" \
        -e "s|@USER@|$SERVICE_USER|g; s|@GROUPS@|$(camera_groups)|g; s|@SYSTEMCTL@|$(command -v systemctl || echo /usr/bin/systemctl)|g" \
        -e "s|@MEMORY@|$MEMORY_LIMIT|g; s|@SERIALGROUPS@|$(serial_groups)|g" \
        -- "$SYSTEM_PARTS/units/$1"
}

# 0 where there is none.
systemd_version() {
    local said
    said=$(systemctl --version 2> /dev/null) || true
    [[ $said =~ ^systemd\ ([0-9]+) ]] && printf '%s' "${BASH_REMATCH[1]}" || printf 0
}

# Gateways before signal controllers are switched on by hand: most edge servers have none.
tier_units() {
    printf 'kinflow-%s.service\n' "$TIER"
    if [[ $TIER == edge ]]; then printf 'kinflow-controllers.service\n'; fi
}

write_units() {
    local unit
    UNITS_CHANGED=no
    MEMORY_LIMIT=$(memory_limit)
    for unit in $(tier_units) \
        kinflow-{update.service,update.path,update.timer,restart.path,restart.service,time.service,time.timer}; do
        rendered "$unit" | write_file "$UNITS/$unit" 644
        if [[ $CHANGED == yes ]]; then UNITS_CHANGED=yes; fi
    done
    if [[ $SYSTEMD == yes ]]; then
        if [[ $UNITS_CHANGED == yes ]]; then change systemctl daemon-reload; fi
        change systemctl enable --quiet "kinflow-$TIER.service" kinflow-update.path kinflow-update.timer kinflow-restart.path
    fi
}

# One certificate for this device. Without a code it may still be joined later, by `kinflow join`.
join_edge() {
    [[ $JOIN_CODE ]] || return 0
    if [[ -e $STATE/trust/certificate.pem ]]; then
        say '  This device has joined an edge already.'
        return
    fi
    as_kinflow join "$JOIN_CODE" ${EDGE_HOST:+--edge "$EDGE_HOST"} --wait ||
        fail 245 "This device could not join the edge ${EDGE_HOST:-that made the code}." \
            'Read the lines above; check the address and the code, then run the same command again: all else is done.'
}

as_kinflow() { change env "KINFLOW_HOME=$STATE" "$PREFIX/bin/kinflow" "$@"; }

start_services() {
    local unit=kinflow-$TIER.service
    if [[ $SYSTEMD == no ]]; then
        say '  systemd does not run here: nothing is started by itself. By hand:'
        say "    $PREFIX/bin/kinflow $TIER run"
        return
    fi
    change systemctl start kinflow-update.path kinflow-update.timer kinflow-restart.path
    if [[ $TIER == agent && $DRY_RUN == no ]] && ! has_section "$(cat -- "$STATE/kinflow.toml")" '[[agent.cameras]]'; then
        say "  No camera is set up: write one into $STATE/kinflow.toml, then: sudo systemctl start $unit"
        return
    fi
    # What runs and has not changed is left alone.
    if [[ $MADE_NOW == no && $UNITS_CHANGED == no && $PREVIOUS == "versions/$VERSION" && $DRY_RUN == no ]] &&
        systemctl is-active --quiet "$unit"; then
        say "  $unit runs."
        return
    fi
    if change systemctl restart "$unit"; then
        said_unless_dry "  $unit runs."
    elif switch_back; then
        systemctl restart "$unit" || true
        fail 246 "Version $VERSION did not start; ${PREVIOUS#versions/} is in use again." \
            "journalctl -u $unit tells why; correct the cause and run the same command again."
    else
        fail 246 "$unit did not start." "journalctl -u $unit tells why; correct the cause and run the same command again."
    fi
}

remove_unit() {
    if [[ ! -e $UNITS/$1 ]]; then return; fi
    if [[ $SYSTEMD == yes ]]; then change systemctl disable --now --quiet "$1" || true; fi
    change rm -f -- "$UNITS/$1"
    change rm -rf -- "$UNITS/$1.d"
}

remove_shared_units() {
    local unit
    for unit in kinflow-{time.timer,update.timer,update.path,restart.path,time.service,update.service,restart.service}; do
        remove_unit "$unit"
    done
    if [[ $SYSTEMD == yes ]]; then
        change systemctl daemon-reload
        change systemctl reset-failed 'kinflow-*' 2> /dev/null || true
    fi
}
