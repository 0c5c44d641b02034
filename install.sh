#!/usr/bin/env bash
# Set Kinflow up. `run` and `test` stay in this clone: everything lands in .venv/ and .kinflow/ beside this file, and
# services of the system are never touched. `agent`, `edge` and `cloud` make services of this machine; what they do
# stands in firmware_configs/system/. Packages of the system are installed by apt after asking once.

set -euo pipefail

# The whole body is a function: bash has read all of it before anything runs, so that an update of this file in the
# middle of a run can't change what that run does.
main() {
    ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
    VENV=$ROOT/.venv
    UNFINISHED=$VENV/kinflow-set-up.unfinished
    OS_RELEASE=${KINFLOW_OS_RELEASE:-/etc/os-release}
    DRY_RUN=no NO_APT=no YES=no ALREADY_ASKED=no STEP=0 STEPS=0
    PYTHON='' SUDO='' CHROMIUM=''
    APT_MISSING=()

    trap 'exit 130' INT

    local command=''
    while (($#)); do
        case $1 in
            --dry-run) DRY_RUN=yes ;;
            --no-apt) NO_APT=yes ;;
            --yes | -y) YES=yes ;;
            --purge) PURGE=yes ;;
            --help | -h) usage && exit 0 ;;
            run | test | uninstall | agent | edge | cloud) command=$1 && shift && break ;;
            *) usage >&2 && exit 2 ;;
        esac
        shift
    done
    # Options of ours are taken on both sides of the command; whatever follows is handed on as it is.
    local rest=()
    while (($#)); do
        case $1 in
            --dry-run) DRY_RUN=yes ;;
            --no-apt) NO_APT=yes ;;
            --yes | -y) YES=yes ;;
            --purge) if [[ $command == uninstall ]]; then PURGE=yes; else rest+=("$1"); fi ;;
            --) shift && rest+=("$@") && break ;;
            *) rest+=("$1") ;;
        esac
        shift
    done

    case $command in
        run) start_city "${rest[@]}" ;;
        test) run_tests "${rest[@]}" ;;
        uninstall) choose_uninstall "${rest[@]}" ;;
        agent | edge | cloud)
            load_system_parts
            install_tier "$command" "${rest[@]}"
            ;;
        *) usage >&2 && exit 2 ;;
    esac
}

usage() {
    cat << 'TEXT'
Usage: ./install.sh [OPTIONS] COMMAND [ARGUMENTS]

  run [ARGUMENTS]    set up what is missing, start a simulated city and open its dashboard;
                     the arguments go to `kinflow city run`, --help among them
  test [ARGUMENTS]   set up what is missing, run every check; the arguments go to pytest
  uninstall          remove .venv; with --purge the data in .kinflow as well, after asking

Services of this machine (docs/install.md):

  agent|edge|cloud   install as a service, or bring the one that is there to this version
      --from PLACE       a bundle: its folder, its .tar, or the USB folder that holds it; needs no network
      --join CODE        join the edge server that made the code (agent)
      --edge HOST        its address; else it is looked for on the network
      --camera SOURCE    the first camera (agent); else the one that is plainly there
      --broker URL       a broker that runs already (agent)
      --prefix FOLDER    where programs go, /opt/kinflow unless set
  uninstall agent|edge|cloud|all    remove services and programs; the data stays, --purge removes it after asking

  --dry-run          print what would be run, change nothing
  --no-apt           print the apt commands instead of running them
  --yes              never ask
TEXT
}

# --- commands ---------------------------------------------------------------------------------------------------------

start_city() {
    set_up run 'agent,edge,sim'
    run_here "$VENV/bin/kinflow" city run "$@"
}

run_tests() {
    set_up test 'agent,edge,sim,family,tuning,dev'
    if [[ $CHROMIUM ]]; then export KINFLOW_CHROMIUM=$CHROMIUM; fi
    cd "$ROOT"
    local bin=$VENV/bin
    check 'ruff check' "$bin/ruff" check .
    check 'ruff format' "$bin/ruff" format --check .
    check 'mypy' "$bin/mypy"
    check 'the import rule' "$bin/lint-imports"
    # Tests wait for processes more than they compute; a file's tests stay together, so that what they share is made once.
    run_here "$bin/python" -m pytest -n logical --maxprocesses 4 --dist loadfile "$@"
}

uninstall() {
    if [[ -d $VENV ]]; then
        change rm -rf -- "$VENV" "$ROOT/kinflow.egg-info"
        if [[ $DRY_RUN == no ]]; then say "Removed $VENV."; fi
    else
        say "There is no $VENV to remove."
    fi
    local home=$ROOT/.kinflow
    [[ -d $home ]] || return 0
    if [[ ${PURGE:-no} == no ]]; then
        say "Your data stays in $home; ./install.sh uninstall --purge removes it."
    elif [[ $DRY_RUN == yes ]] || ask "Remove $home and all that was recorded there?"; then
        change rm -rf -- "$home"
        if [[ $DRY_RUN == no ]]; then say "Removed $home."; fi
    else
        say "Your data stays in $home."
    fi
}

# Without a word: this clone's environment, or where there is no clone, the services.
choose_uninstall() {
    if (($# == 0)) && [[ -f $ROOT/pyproject.toml ]]; then
        uninstall
        return
    fi
    if (($# == 0)); then set -- all; fi
    local one
    for one in "$@"; do
        case $one in agent | edge | cloud | all) ;; *) usage >&2 && exit 2 ;; esac
    done
    load_system_parts
    uninstall_tiers "$@"
}

# In a clone they lie in firmware_configs/; in a bundle and beside the installed launcher, next to this file.
load_system_parts() {
    SYSTEM_PARTS=$ROOT/firmware_configs/system
    if [[ -f $ROOT/system/system.sh ]]; then SYSTEM_PARTS=$ROOT/system; fi
    if [[ ! -f $SYSTEM_PARTS/system.sh ]]; then
        fail 241 'This install.sh is alone: neither a clone nor a bundle of Kinflow lies beside it.' \
            'Run the one in a bundle or in a clone, or use the one line that your edge shows.'
    fi
    local part
    for part in system source python services; do
        # shellcheck source=/dev/null
        source "$SYSTEM_PARTS/$part.sh"
    done
}

# --- set-up -----------------------------------------------------------------------------------------------------------

# set_up KIND EXTRAS: bring $VENV to what pyproject.toml and constraints.txt say; nothing is done when it is there.
set_up() {
    local kind=$1 extras=$2
    if [[ $kind == test ]]; then find_chromium || true; fi
    if is_ready "$kind" "$extras" && { [[ $kind == run ]] || [[ $CHROMIUM ]]; }; then return; fi

    # One set-up at a time in one clone; the lock goes with this process, and nothing is written for it.
    exec 9< "${BASH_SOURCE[0]}"
    if has flock && ! flock --nonblock 9; then
        say 'Another set-up is at work in this clone; waiting for it.'
        flock 9
        if is_ready "$kind" "$extras" && { [[ $kind == run ]] || [[ $CHROMIUM ]]; }; then
            exec 9<&-
            return
        fi
    fi

    STEPS=4
    local need_venv=no
    is_ready "$kind" "$extras" || need_venv=yes
    step 'Look at what is there'
    if [[ $need_venv == yes ]]; then require_space "$kind"; fi
    choose_python
    list_missing_packages "$kind"
    step 'Packages of the system'
    install_packages "$kind"
    step 'Environment'
    if [[ $need_venv == yes ]]; then make_environment; fi
    step "Python packages ($extras)"
    if [[ $need_venv == yes ]]; then install_python_packages "$kind" "$extras"; fi
    if [[ $kind == test && -z $CHROMIUM ]]; then provide_chromium; fi
    say "Set up after ${SECONDS} s."
    exec 9<&-
}

# The state that a finished set-up leaves: what was asked for, by which Python, and where.
fingerprint() {
    {
        cat -- "$ROOT/pyproject.toml" "$ROOT/constraints.txt"
        "$VENV/bin/python" -c 'import sys; print(sys.version)'
        printf '%s\n%s\n' "$1" "$ROOT"
    } | sha256sum
}

is_ready() {
    local stamp=$VENV/kinflow-$1.stamp
    [[ -f $stamp && ! -e $UNFINISHED && -x $VENV/bin/kinflow ]] &&
        [[ $(cat -- "$stamp") == "$(fingerprint "$2" 2> /dev/null)" ]]
}

# Measured on Debian 12 x86-64 with Python 3.11: see docs/errors/KF35.md.
require_space() {
    local needed_mb=2000 free_mb
    if [[ $1 == test ]]; then needed_mb=2500; fi
    if [[ -e $VENV/bin/kinflow ]]; then needed_mb=$((needed_mb / 2)); fi
    if [[ $1 == test && -z $CHROMIUM ]]; then needed_mb=$((needed_mb + 800)); fi
    free_mb=$(($(df -Pk -- "$ROOT" | awk 'NR == 2 { print $4 }') / 1024))
    if ((free_mb < needed_mb)); then
        fail 35 "$ROOT has $free_mb MB free; $needed_mb MB are needed." \
            'Free some space there, or clone Kinflow onto a larger disk.'
    fi
    say "  $free_mb MB free, $needed_mb MB needed"
}

# The first Python that is new enough and can make environments; failing that, one that is only new enough.
# KINFLOW_PYTHON names one instead.
choose_python() {
    local name new_enough='' names=(python3.13 python3.12 python3.11 python3 /usr/bin/python3)
    if [[ ${KINFLOW_PYTHON:-} ]]; then names=("$KINFLOW_PYTHON"); fi
    for name in "${names[@]}"; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1 || continue
        new_enough=${new_enough:-$name}
        "$name" -c 'import ensurepip, venv' > /dev/null 2>&1 || continue
        PYTHON=$name
        say "  $("$PYTHON" --version) ($(command -v -- "$PYTHON"))"
        return
    done
    if [[ $new_enough ]]; then
        # Debian keeps venv apart; the package's name carries the version.
        APT_MISSING+=("$("$new_enough" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
        PYTHON=$new_enough
        return
    fi
    if system_python_is_new; then
        APT_MISSING+=(python3 python3-venv)
        PYTHON=/usr/bin/python3
        return
    fi
    for name in python3.13 python3.12 python3.11; do
        if apt_has "$name-venv"; then
            APT_MISSING+=("$name" "$name-venv")
            PYTHON=$name
            return
        fi
    done
    # shellcheck disable=SC2016 # the reader's shell is to expand it
    fail 34 "Kinflow needs Python 3.11 or newer; this is $(python3 --version 2> /dev/null || echo 'a machine without any')." \
        'On Ubuntu 22.04 run these, then this command again:
    sudo add-apt-repository ppa:deadsnakes/ppa
    sudo apt-get install python3.11 python3.11-venv
  or, without root (https://docs.astral.sh/uv/):
    uv python install 3.11 && KINFLOW_PYTHON="$(uv python find 3.11)" ./install.sh run'
}

# Whether the system's own python3 package is 3.11 or newer (a bare machine's apt can't tell before its first update).
system_python_is_new() {
    case $(os_release ID) in
        debian | raspbian) (($(os_release VERSION_ID) >= 12)) ;;
        ubuntu) [[ $(printf '%s\n' 24.04 "$(os_release VERSION_ID)" | sort -V | head -n 1) == 24.04 ]] ;;
        *) return 1 ;;
    esac
}

list_missing_packages() {
    if ! PATH=$PATH:/usr/sbin:/usr/local/sbin has mosquitto; then APT_MISSING+=(mosquitto); fi
    # SUMO's wheels are built for machines that have it.
    if ! has_library libatomic.so.1; then APT_MISSING+=(libatomic1); fi
    if [[ $1 == test && -z $CHROMIUM ]] && apt_has_real_chromium; then APT_MISSING+=(chromium); fi
    # llama.cpp is compiled for the processor that is here.
    if [[ $1 == test ]] && ! has g++; then APT_MISSING+=(g++); fi
    # Every other package in constraints.txt has a wheel for 64-bit x86 and ARM; elsewhere pip compiles.
    case $(uname -m) in
        x86_64 | aarch64) ;;
        *) if ! has cc; then APT_MISSING+=(build-essential python3-dev); fi ;;
    esac
    say "  missing: ${APT_MISSING[*]:-nothing}"
}

install_packages() {
    if ((${#APT_MISSING[@]} == 0)); then return; fi
    local commands=("apt-get -q update" "apt-get -q install --yes --no-install-recommends ${APT_MISSING[*]}")
    choose_privilege
    if [[ $NO_APT == yes || $SUDO == none ]] || ! has apt-get; then
        say '  These packages are missing; install them with:'
        printf '    sudo %s\n' "${commands[@]}"
    elif ask "Install ${APT_MISSING[*]} with apt?"; then
        local line
        for line in "${commands[@]}"; do
            # shellcheck disable=SC2086 # the names hold no spaces
            change ${SUDO:+"$SUDO"} env DEBIAN_FRONTEND=noninteractive $line ||
                say "  apt ended with status $?; going on with what is there."
        done
    fi
    if [[ $DRY_RUN == yes ]]; then return; fi
    if ! "$PYTHON" -c 'import ensurepip, venv' > /dev/null 2>&1; then
        fail 36 "Python's venv is missing: ${APT_MISSING[*]} could not be installed." \
            "Install it by hand (sudo apt-get install ${APT_MISSING[*]}), then run this command again."
    fi
    PATH=$PATH:/usr/sbin:/usr/local/sbin has mosquitto ||
        say '  Going on without mosquitto: the built-in broker (amqtt) steps in, at a lower rate.'
    if [[ $1 == test ]]; then find_chromium || true; fi
}

make_environment() {
    if [[ -e $UNFINISHED ]]; then
        say '  An earlier set-up was cut off; it is begun anew.'
        change rm -rf -- "$VENV"
    elif [[ -d $VENV ]] && ! "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
        say "  $VENV does not work; it is made anew."
        change rm -rf -- "$VENV"
    fi
    if [[ $DRY_RUN == no ]]; then
        mkdir -p -- "$VENV"
        touch -- "$UNFINISHED"
    fi
    if [[ ! -x $VENV/bin/python ]]; then
        change "$PYTHON" -m venv "$VENV" || fail 38 "The set-up stopped at: $PYTHON -m venv." \
            'Read the lines above, correct the cause and run the same command again.'
    fi
}

install_python_packages() {
    local kind=$1 extras=$2
    say '  This takes one to several minutes, by the network.'
    (
        # A person's pip settings may name an index or a proxy, and those are kept; what would send the packages
        # elsewhere, or other packages here, is not.
        unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_DEPS PIP_DRY_RUN PIP_NO_BINARY
        unset PIP_REQUIRE_HASHES PIP_PYTHON PIP_REPORT PIP_EDITABLE PIP_IGNORE_INSTALLED PIP_QUIET PYTHONPATH PYTHONHOME
        export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
        # Without a home there is no place for pip's cache but the current folder.
        if [[ -z ${HOME:-} ]]; then export PIP_NO_CACHE_DIR=1; fi
        cd -- "$ROOT"
        local places=()
        if [[ ,$extras, == *,family,* ]]; then provide_llama; fi
        change "$VENV/bin/python" -m pip install --progress-bar off "${places[@]}" --editable ".[$extras]" \
            --constraint constraints.txt
    ) | count_progress ||
        fail 38 'The set-up stopped at: pip install.' \
            'Read the lines above, correct the cause and run the same command again.'
    if [[ $DRY_RUN == yes ]]; then return; fi
    if [[ $kind == test ]]; then fingerprint 'agent,edge,sim' > "$VENV/kinflow-run.stamp"; fi
    fingerprint "$extras" > "$VENV/kinflow-$kind.stamp"
    rm -f -- "$UNFINISHED"
}

# llama.cpp for this processor, from the user's cache or built into it: some minutes, once for all clones.
provide_llama() {
    local build=("$VENV/bin/python" -m firmware_configs.bundle.llama here) folder
    if [[ $DRY_RUN == yes ]]; then
        change "${build[@]}"
        return
    fi
    folder=$("${build[@]}") || exit
    places=(--find-links "$folder")
}

# pip's output, a line a package; a terminal sees them, a log sees what matters.
count_progress() {
    local line count=0
    while IFS= read -r line; do
        case $line in
            Collecting\ * | Processing\ *)
                count=$((count + 1))
                if [[ -t 1 ]]; then printf '\r\033[K  %3d s  %d: %s' "$SECONDS" "$count" "${line:0:60}"; fi
                ;;
            Installing\ * | Building\ * | Successfully\ installed*)
                if [[ -t 1 ]]; then printf '\r\033[K'; fi
                printf '  %3d s  %s\n' "$SECONDS" "${line:0:80}"
                ;;
            '+ '* | *rror* | *arning*) printf '%s\n' "$line" ;;
        esac
    done
}

# --- Chromium, for the dashboard's tests ------------------------------------------------------------------------------

# Set CHROMIUM to one that Playwright can drive: not a snap, whose sandbox hides the test's files from it.
find_chromium() {
    local name path
    for name in "${KINFLOW_CHROMIUM:-}" chromium chromium-browser google-chrome; do
        path=$(command -v -- "$name" 2> /dev/null) || continue
        if is_snap "$path"; then continue; fi
        CHROMIUM=$path
        return
    done
    if [[ -x $VENV/bin/python ]]; then
        path=$("$VENV/bin/python" -c '
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)' 2> /dev/null) || return
        if [[ -x $path ]]; then CHROMIUM=$path; fi
    fi
    [[ $CHROMIUM ]]
}

is_snap() {
    [[ $(readlink -f -- "$1") == */snap* ]] || { head -c 4096 -- "$1" | grep -aq '/snap/bin/\|snap install'; }
}

# Ubuntu's package of this name only fetches a snap.
apt_has_real_chromium() { has apt-get && [[ $(os_release ID) != ubuntu ]]; }

provide_chromium() {
    if [[ $NO_APT == no ]] && ! apt_has_real_chromium; then
        say "  apt has no Chromium here that is not a snap; Playwright fetches its own."
        change "$VENV/bin/playwright" install --with-deps chromium || true
        find_chromium || true
    fi
    if [[ -z $CHROMIUM && $DRY_RUN == no ]]; then
        fail 36 'Chromium is missing: the dashboard is tested in a real browser.' \
            'Install Chromium (not the snap), or name one with KINFLOW_CHROMIUM, then run this command again.'
    fi
}

# --- small things -----------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }

# os_release KEY: one value of this system's description, empty when there is none.
os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$OS_RELEASE" 2> /dev/null || true; }

has() { command -v -- "$1" > /dev/null 2>&1; }

# has_library NAME: whether the loader knows it; yes as well where nobody can tell.
has_library() {
    local known
    known=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2> /dev/null) || return 0
    [[ $known == *"$1"* ]]
}

apt_has() { has apt-cache && [[ $(apt-cache policy "$1" 2> /dev/null) == *Candidate:\ [0-9]* ]]; }

step() {
    STEP=$((STEP + 1))
    printf '[%d/%d, %d s] %s\n' "$STEP" "$STEPS" "$SECONDS" "$1"
}

# fail NUMBER CAUSE ADVICE: the error catalogue's form, and its exit status.
fail() {
    printf '\nKF%d: %s\nWhat to do: %s\n' "$1" "$2" "$3" >&2
    exit "$1"
}

# Run a command that changes something; with --dry-run only print it.
change() {
    if [[ $DRY_RUN == yes ]]; then
        printf '+'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@" 2>&1
    fi
}

# check NAME COMMAND...: one check of `test`; the first that fails ends it, with its own status.
check() {
    local name=$1
    shift
    if [[ $DRY_RUN == no ]]; then say "--- $name"; fi
    change "$@"
}

# Become the command, so that signals and the exit status are its own.
run_here() {
    if [[ $DRY_RUN == yes ]]; then
        change "$@"
    else
        exec "$@"
    fi
}

# ask QUESTION: yes without a question as root, in CI, without a terminal, with --yes, or after one yes.
ask() {
    if [[ $YES == yes || $ALREADY_ASKED == yes || $DRY_RUN == yes || ${CI:-} || $EUID == 0 || ! -t 0 ]]; then return 0; fi
    local answer
    read -r -p "$1 [Y/n] " answer
    [[ $answer == '' || $answer == [Yy]* ]] || return 1
    ALREADY_ASKED=yes
}

# SUDO: empty as root, `sudo` where there is one that will work, else `none`.
choose_privilege() {
    if ((EUID == 0)); then
        SUDO=''
    elif ! has sudo; then
        SUDO=none
    elif [[ -t 0 && -z ${CI:-} ]] || sudo -n true 2> /dev/null; then
        SUDO=sudo
    else
        SUDO=none
    fi
}

main "$@"
