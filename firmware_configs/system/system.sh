# shellcheck shell=bash
# Kinflow as services of this machine: what `install.sh agent|edge|cloud` and its uninstall do. Sourced by install.sh,
# whose say, step, fail, change and ask it uses; source.sh finds what is installed, python.sh makes its environment,
# services.sh everything that systemd knows.
#
# A run that was cut off anywhere is gone on with by the same command: an environment that is not finished carries a
# mark and is made anew, links are put in place by a rename, and every other step may be taken twice.

TIERS=(agent edge cloud)
SERVICE_USER=kinflow

install_tier() {
    TIER=$1
    shift
    # A person's own Python packages are not Kinflow's.
    unset PYTHONPATH PYTHONHOME
    read_system_options "$@"
    become_root "$TIER" "$@"
    name_places
    trap 'undo_apt_guard; say; say "Stopped. The same command goes on from here."; exit 130' INT TERM

    STEPS=6
    step 'Look at what is there'
    find_source
    choose_system_python
    list_system_packages
    tell_time_and_space
    ask "Install Kinflow $VERSION as $TIER on this machine?" || exit 0
    lock_installation
    step 'Packages of the system'
    install_system_packages
    step "User $SERVICE_USER and folders"
    make_user
    make_folders
    step "Environment of version $VERSION"
    make_version
    step 'Services'
    switch_version
    write_launcher
    write_settings
    keep_bundles
    write_units
    join_edge
    step 'Start'
    start_services
    remove_old_versions
    tell_what_next
}

read_system_options() {
    FROM='' EDGE_HOST='' JOIN_CODE='' CAMERA='' BROKER=''
    OPT_PREFIX=/opt/kinflow
    while (($#)); do
        case $1 in
            --from | --edge | --join | --camera | --broker | --prefix)
                if (($# < 2)) || [[ -z $2 ]]; then
                    say "$1 needs a value." >&2
                    usage >&2
                    exit 2
                fi
                case $1 in
                    --from) FROM=$2 ;;
                    --edge) EDGE_HOST=$2 ;;
                    --join) JOIN_CODE=$2 ;;
                    --camera) CAMERA=$2 ;;
                    --broker) BROKER=$2 ;;
                    --prefix) OPT_PREFIX=$2 ;;
                esac
                shift
                ;;
            *) usage >&2 && exit 2 ;;
        esac
        shift
    done
    if [[ $OPT_PREFIX != /* || $OPT_PREFIX == / || $OPT_PREFIX =~ [^A-Za-z0-9/._-] ]]; then
        say '--prefix takes an absolute folder of its own, of letters, digits and / . _ -.' >&2
        exit 2
    fi
}

# Everything below KINFLOW_PREFIX, which tests and images set: then no user, no apt and no running service is touched.
name_places() {
    UNDER=${KINFLOW_PREFIX:-}
    UNDER=${UNDER%/}
    PREFIX=$UNDER$OPT_PREFIX
    VERSIONS=$PREFIX/versions
    CURRENT=$PREFIX/current
    STATE=$UNDER/var/lib/kinflow
    UNITS=$UNDER/etc/systemd/system
    COMMAND_LINK=$UNDER/usr/local/bin/kinflow
    SYSTEMD=no
    if [[ -z $UNDER && -d /run/systemd/system ]] && has systemctl; then SYSTEMD=yes; fi
}

# The whole command again by sudo, where this is not root.
become_root() {
    if [[ $EUID == 0 || ${KINFLOW_PREFIX:-} || $DRY_RUN == yes ]]; then return; fi
    choose_privilege
    if [[ $SUDO != sudo ]]; then
        fail 240 'Services of the machine are installed by root, and this is not root.' \
            "Run it as root, or with sudo: sudo ./install.sh $*"
    fi
    say "Services of the machine are installed by root: going on with sudo."
    local options=()
    if [[ $YES == yes ]]; then options+=(--yes); fi
    if [[ $NO_APT == yes ]]; then options+=(--no-apt); fi
    exec sudo env ${KINFLOW_PYTHON:+"KINFLOW_PYTHON=$KINFLOW_PYTHON"} "$ROOT/install.sh" "${options[@]}" "$@"
}

# One installation at a time; the lock goes with this process, and its file is a folder that stays anyway.
lock_installation() {
    if [[ $DRY_RUN == yes ]] || ! has flock; then return; fi
    mkdir -p -- "$PREFIX"
    exec 8< "$PREFIX"
    if ! flock --nonblock 8; then
        say 'Another installation is at work; waiting for it.'
        flock 8
    fi
}

tell_what_next() {
    say
    say "Kinflow $VERSION is installed as $TIER, after $SECONDS s."
    say "  programs  $PREFIX"
    say "  data      $STATE"
    say "  settings  $STATE/kinflow.toml"
    case $TIER in
        agent) say '  next      sudo kinflow calibrate --camera SOURCE, then look at http://127.0.0.1:8801' ;;
        edge) say '  next      sudo kinflow edge --help: codes for devices to join with, the first account' ;;
        cloud) say '  next      sudo kinflow cloud --help' ;;
    esac
    say '  always    sudo kinflow doctor'
}

# --- uninstall --------------------------------------------------------------------------------------------------------

# uninstall_tiers TIER...|all: stop and remove services; with the last one, everything but the data.
uninstall_tiers() {
    local tier left=no
    OPT_PREFIX=/opt/kinflow
    # The installer that lies beside the launcher knows what it belongs to.
    if [[ -d $ROOT/system && -d ${ROOT%/bin}/versions ]]; then OPT_PREFIX=${ROOT#"${KINFLOW_PREFIX:-}"} OPT_PREFIX=${OPT_PREFIX%/bin}; fi
    become_root uninstall "$@" ${PURGE:+--purge}
    name_places
    if [[ $1 == all ]]; then set -- "${TIERS[@]}"; fi
    for tier in "$@"; do
        if [[ $tier == edge ]]; then remove_unit kinflow-controllers.service; fi
        remove_unit "kinflow-$tier.service"
    done
    for tier in "${TIERS[@]}"; do
        if [[ -e $UNITS/kinflow-$tier.service ]]; then left=$tier; fi
    done
    if [[ $DRY_RUN == yes || $left == no ]]; then
        remove_shared_units
        remove_programs
        remove_or_keep_data
    else
        say "kinflow-$left stays, and with it $PREFIX."
    fi
}

remove_programs() {
    if [[ -L $COMMAND_LINK ]]; then change rm -f -- "$COMMAND_LINK"; fi
    if [[ -d $PREFIX ]]; then
        change rm -rf -- "$PREFIX"
        said_unless_dry "Removed $PREFIX."
    else
        say "There is no $PREFIX to remove."
    fi
}

remove_or_keep_data() {
    if [[ -d $STATE ]]; then
        if [[ ${PURGE:-no} == yes ]] && ask_for_real "Remove $STATE and all that was recorded there?"; then
            change rm -rf -- "$STATE"
            said_unless_dry "Removed $STATE."
        else
            # Nobody else is to have what belonged to a user that is gone.
            if [[ -z $UNDER ]]; then change chown -R root:root -- "$STATE" && change chmod 700 -- "$STATE"; fi
            say "Your data stays in $STATE; sudo rm -r $STATE removes it."
        fi
    fi
    if [[ -z $UNDER ]] && id -u "$SERVICE_USER" > /dev/null 2>&1; then
        change userdel "$SERVICE_USER" || say "  The user $SERVICE_USER could not be removed."
    fi
}

# Data is not removed because nobody was there to be asked: --yes says it, or a person does.
ask_for_real() {
    if [[ $YES == yes || $DRY_RUN == yes ]]; then return 0; fi
    [[ -t 0 ]] || return 1
    local answer
    read -r -p "$1 [y/N] " answer
    [[ $answer == [Yy]* ]]
}

# --- small things -----------------------------------------------------------------------------------------------------

said_unless_dry() { if [[ $DRY_RUN == no ]]; then say "$1"; fi; }

# write_file PATH MODE: standard input becomes the file, by a rename, unless it says the same already. CHANGED tells.
write_file() {
    local path=$1 mode=$2 text
    text=$(cat)
    CHANGED=no
    if [[ -f $path && $(cat -- "$path") == "$text" ]]; then return; fi
    CHANGED=yes
    if [[ $DRY_RUN == yes ]]; then
        say "+ write $path"
        return
    fi
    mkdir -p -- "$(dirname -- "$path")"
    printf '%s\n' "$text" > "$path.part"
    chmod "$mode" -- "$path.part"
    mv -f -T -- "$path.part" "$path"
}

# as_service COMMAND...: as the user that the services run as.
as_service() {
    if [[ $UNDER ]]; then
        change "$@"
    else
        change setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --init-groups -- "$@"
    fi
}
