# shellcheck shell=bash
# Which Python, which packages of the system, and the environment of one version.

# Measured: see docs/install.md. MB on the disk that holds the prefix: one version, and what pip needs meanwhile.
NEEDED_MB=900

# Set PYTHON: new enough, where services can see it (not in a home folder), and one that the bundle has wheels for.
choose_system_python() {
    local name found newer='' names=(/usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.14)
    if [[ ${KINFLOW_PYTHON:-} ]]; then names=("$KINFLOW_PYTHON"); fi
    PYTHON='' PYTHON_BESIDE=''
    for name in "${names[@]}"; do
        found=$("$name" -I -c 'import sys; sys.version_info < (3, 11) or print("%d.%d" % sys.version_info[:2], sys.executable)' \
            2> /dev/null) || continue
        [[ $found ]] || continue
        if [[ -z $UNDER && $(readlink -f -- "${found#* }") =~ ^/(home|root|run/user)/ ]]; then
            say "  ${found#* } lies in a home folder, where services can't see it."
            continue
        fi
        newer=${found%% *}
        if [[ $SOURCE == bundle && " $PYTHONS " != *" $newer "* ]]; then continue; fi
        PYTHON=${found#* }
        say "  Python $newer ($PYTHON)"
        return
    done
    if [[ $newer ]]; then
        fail 244 "The bundle has wheels for Python $PYTHONS; this machine has $newer." \
            "Make one with kinflow bundle --arch $ARCH --python $newer."
    fi
    offer_newer_python
}

# Ubuntu 22.04 and JetPack 6 have 3.10: a newer one is installed beside it, and nothing of the system uses that.
offer_newer_python() {
    local wanted=3.11
    if [[ $SOURCE == bundle ]]; then wanted=${PYTHONS%% *}; fi
    if system_python_is_new; then
        APT_MISSING+=(python3)
        PYTHON=/usr/bin/python3
    elif apt_has "python$wanted-venv"; then
        APT_MISSING+=("python$wanted" "python$wanted-venv")
        PYTHON=/usr/bin/python$wanted
    elif [[ $(os_release ID) == ubuntu && $NO_APT == no ]]; then
        say "  This system has $(python3 --version 2> /dev/null || echo 'no Python'); Kinflow needs 3.11 or newer."
        say "  Python $wanted can be installed beside it from the deadsnakes archive, which is not Ubuntu's own."
        PYTHON_BESIDE=$wanted
        PYTHON=/usr/bin/python$wanted
    else
        fail 34 "Kinflow needs Python 3.11 or newer; this is $(python3 --version 2> /dev/null || echo 'a machine without any')." \
            "Install python$wanted and python$wanted-venv (docs/errors/KF34.md), on a machine without a network from the .deb files
  that another machine of the same system has downloaded; then run this command again."
    fi
}

list_system_packages() {
    if [[ $TIER == edge ]] && ! PATH=$PATH:/usr/sbin:/usr/local/sbin has mosquitto; then APT_MISSING+=(mosquitto); fi
    # From a clone pip comes with the environment; a bundle brings its own.
    if [[ $SOURCE == clone && -x $PYTHON ]] && ! "$PYTHON" -c 'import ensurepip' > /dev/null 2>&1; then
        APT_MISSING+=("$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    fi
    if [[ $UNDER ]]; then APT_MISSING=(); fi
    say "  missing: ${APT_MISSING[*]:-nothing}"
}

tell_time_and_space() {
    local needed_mb=$NEEDED_MB free_mb place=$PREFIX minutes='some minutes, by the network'
    if [[ $SOURCE == bundle ]]; then
        needed_mb=$((needed_mb + BUNDLE_MB))
        minutes='one to five minutes, without a network'
    fi
    if version_is_made; then needed_mb=50 minutes='some seconds: this version is there'; fi
    while [[ ! -d $place ]]; do place=$(dirname -- "$place"); done
    free_mb=$(($(df -Pk -- "$place" | awk 'NR == 2 { print $4 }') / 1024))
    if ((free_mb < needed_mb)); then
        fail 35 "$place has $free_mb MB free; $needed_mb MB are needed." 'Free some space there, or name another folder with --prefix.'
    fi
    say "  takes $minutes, and $needed_mb MB of the $free_mb MB that are free in $place"
}

install_system_packages() {
    if [[ $PYTHON_BESIDE ]]; then
        APT_MISSING+=("python$PYTHON_BESIDE" "python$PYTHON_BESIDE-venv")
        apt_get update
        apt_get install software-properties-common &&
            change add-apt-repository --yes ppa:deadsnakes/ppa ||
            fail 34 "Python $PYTHON_BESIDE could not be installed beside the system's." \
                'Connect this machine to the network and run this command again; docs/errors/KF34.md has other ways.'
    fi
    if ((${#APT_MISSING[@]} == 0)); then return; fi
    if [[ $NO_APT == yes ]] || ! has apt-get; then
        say "  Install these and run this command again: ${APT_MISSING[*]}"
    else
        guard_apt
        apt_get update || say '  apt could not look for packages; going on with what it knows.'
        apt_get install "${APT_MISSING[@]}" || say '  apt could not install them; going on with what is there.'
        undo_apt_guard
    fi
    if [[ $DRY_RUN == yes ]]; then return; fi
    "$PYTHON" -c '' 2> /dev/null ||
        fail 36 "Python is missing: ${APT_MISSING[*]} could not be installed." 'Install it by hand, then run this command again.'
    if [[ $TIER == edge ]] && ! PATH=$PATH:/usr/sbin has mosquitto; then
        say '  Going on without mosquitto: the built-in broker (amqtt) steps in, at a lower rate and without TLS.'
    fi
}

apt_get() {
    local command=$1
    shift
    change env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=0 "$command" --yes --no-install-recommends "$@"
}

# Debian starts what it installs. The edge server runs a mosquitto of its own: one that comes for it is not to take the
# port. One that was there before is never touched.
APT_GUARD=/usr/sbin/policy-rc.d

guard_apt() {
    HAD_MOSQUITTO=no
    if PATH=$PATH:/usr/sbin has mosquitto; then HAD_MOSQUITTO=yes; fi
    if [[ $DRY_RUN == no && ( ! -e $APT_GUARD || $(cat -- "$APT_GUARD") == *'Kinflow is installing'* ) ]]; then
        printf '#!/bin/sh\n# Kinflow is installing; this file goes when it is done.\nexit 101\n' > "$APT_GUARD"
        chmod 755 -- "$APT_GUARD"
    fi
}

undo_apt_guard() {
    if [[ -e $APT_GUARD && $EUID == 0 && $(cat -- "$APT_GUARD") == *'Kinflow is installing'* ]]; then rm -f -- "$APT_GUARD"; fi
    if [[ ${HAD_MOSQUITTO:-yes} == no && $SYSTEMD == yes ]]; then
        change systemctl disable mosquitto.service > /dev/null 2>&1 || true
    fi
}

# --- a version --------------------------------------------------------------------------------------------------------

name_version() {
    MADE=$VERSIONS/$VERSION
    UNFINISHED=$MADE/unfinished
    # What was installed, and by which Python.
    MADE_STAMP="$STAMP $PYTHON"
}

version_is_made() {
    name_version
    [[ -x $MADE/bin/kinflow && ! -e $UNFINISHED && $(cat -- "$MADE/stamp" 2> /dev/null) == "$MADE_STAMP" ]]
}

# One environment for each version, with everything of it, whichever tiers run from it. It is root's while it is made,
# in a folder with a sticky bit: nobody else can lay hands on what root runs here.
make_version() {
    if version_is_made; then
        say '  It is there.'
        MADE_NOW=no
        return
    fi
    MADE_NOW=yes
    if [[ -e $UNFINISHED ]]; then
        say '  An earlier installation was cut off; it is begun anew.'
        change rm -rf -- "$MADE"
    elif [[ -e $MADE ]]; then
        say "  There is a $VERSION with other content; it is made anew."
        change rm -rf -- "$MADE"
    fi
    if [[ $DRY_RUN == no ]]; then
        mkdir -- "$MADE"
        touch -- "$UNFINISHED"
    fi
    if [[ $SOURCE == bundle ]]; then install_from_bundle; else install_from_clone; fi
    if [[ $DRY_RUN == yes ]]; then return; fi
    # It must answer before anything points at it.
    "$MADE/bin/kinflow" --version > /dev/null || environment_failed 'kinflow --version'
    "$MADE/bin/kinflow" "$TIER" --help > /dev/null ||
        fail 242 "$FOLDER does not hold all that $TIER needs." "Make a bundle with kinflow bundle --tier $TIER."
    printf '%s\n' "$MADE_STAMP" > "$MADE/stamp"
    rm -f -- "$UNFINISHED"
    if [[ -z $UNDER ]]; then chown -h -R "$SERVICE_USER:$SERVICE_USER" -- "$MADE"; fi
}

environment_failed() {
    fail 38 "The set-up stopped at: $1." 'Read the lines above, correct the cause and run the same command again.'
}

# Without pip in the environment at first: Debian keeps what would bring it in a package of its own.
install_from_bundle() {
    local wheels=$FOLDER/wheels pip variant names
    pip=$(find "$wheels" -maxdepth 1 -name 'pip-*.whl' | sort -V | tail -n 1)
    [[ $pip ]] || fail 242 "The bundle $FOLDER has no pip." 'Make it again with kinflow bundle.'
    change "$PYTHON" -I -m venv --without-pip "$MADE" || environment_failed 'python -m venv'
    # Everything that was packed, each in the build that fits this Python; pip itself works from where it lies.
    mapfile -t names < <(find "$wheels" -maxdepth 1 -name '*.whl' -printf '%f\n' | sed 's/-.*//' | sort -u | grep -vx pip)
    local places=(--find-links "$wheels")
    # A library for another processor dies at its first instruction: the one that fits is chosen here.
    variant=$(fitting_variant "$wheels/llama")
    if [[ $variant ]]; then
        say "  llama.cpp for $variant"
        places+=(--find-links "$wheels/llama/$variant")
        names+=(llama_cpp_python)
    fi
    run_pip "$MADE/bin/python" -I "$pip/pip" install --no-index "${places[@]}" "${names[@]}" ||
        environment_failed 'pip install'
    lay_out_models
}

# Models and maps lie with the version that knows them, so that going back goes back with them.
lay_out_models() {
    local kind
    for kind in models maps; do
        if [[ -d $FOLDER/$kind ]]; then change cp -R -- "$FOLDER/$kind" "$MADE/"; fi
    done
}

install_from_clone() {
    change "$PYTHON" -I -m venv "$MADE" || environment_failed 'python -m venv'
    (
        cd -- "$ROOT"
        run_pip "$MADE/bin/python" -m pip install --progress-bar off '.[agent,edge,cloud]' --constraint constraints.txt
    ) || environment_failed 'pip install'
}

# pip as nobody has set it up: only an index or a proxy of this machine's is kept.
run_pip() {
    (
        unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_DEPS PIP_DRY_RUN PIP_NO_BINARY
        unset PIP_REQUIRE_HASHES PIP_PYTHON PIP_REPORT PIP_EDITABLE PIP_IGNORE_INSTALLED PIP_QUIET PYTHONPATH PYTHONHOME
        export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
        export PIP_ROOT_USER_ACTION=ignore
        if [[ $SOURCE == bundle || -z ${HOME:-} ]]; then export PIP_NO_CACHE_DIR=1; fi
        change "$@"
    ) | count_progress
}

# The best build of llama.cpp in the bundle that this processor can run; nothing when there is none.
fitting_variant() {
    local folder=$1 has_it variant
    has_it=" $(sed -n 's/^\(flags\|Features\)[[:space:]]*: //p' "${KINFLOW_CPUINFO:-/proc/cpuinfo}" 2> /dev/null | head -n 1) "
    case $ARCH in
        arm64)
            if [[ $has_it == *' asimddp '* ]]; then variant=(armv8.2-a+dotprod armv8-a); else variant=(armv8-a); fi
            ;;
        x86_64)
            variant=()
            if [[ $has_it == *' avx2 '* && $has_it == *' fma '* && $has_it == *' f16c '* && $has_it == *' bmi2 '* ]]; then
                variant=(x86-64-v3)
            fi
            if [[ $has_it == *' sse4_2 '* ]]; then variant+=(x86-64-v2); fi
            ;;
    esac
    local one
    for one in "${variant[@]}"; do
        if [[ -d $folder/$one ]]; then
            printf '%s\n' "$one"
            return
        fi
    done
}

# `current` points at the old version or at the new one, never at nothing.
switch_version() {
    PREVIOUS=$(readlink -- "$CURRENT" 2> /dev/null || true)
    if [[ $PREVIOUS == "versions/$VERSION" ]]; then return; fi
    change ln -sfn -- "versions/$VERSION" "$CURRENT.new"
    if [[ -z $UNDER ]]; then change chown -h "$SERVICE_USER:$SERVICE_USER" -- "$CURRENT.new"; fi
    change mv -f -T -- "$CURRENT.new" "$CURRENT"
}

switch_back() {
    if [[ -z $PREVIOUS || $PREVIOUS == "versions/$VERSION" ]]; then return 1; fi
    ln -sfn -- "$PREVIOUS" "$CURRENT.new"
    if [[ -z $UNDER ]]; then chown -h "$SERVICE_USER:$SERVICE_USER" -- "$CURRENT.new"; fi
    mv -f -T -- "$CURRENT.new" "$CURRENT"
}

# The version before this one stays, for a way back; older ones go.
remove_old_versions() {
    local folder
    for folder in "$VERSIONS"/*; do
        case versions/${folder##*/} in
            "versions/$VERSION" | "$PREVIOUS" | 'versions/*') ;;
            *) change rm -rf -- "$folder" ;;
        esac
    done
}
