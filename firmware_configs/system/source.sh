# shellcheck shell=bash
# What is installed: a bundle (wheels, no network needed) or the clone that install.sh stands in.

# Set SOURCE (bundle or clone), FOLDER, VERSION and STAMP.
find_source() {
    find_machine
    if [[ $FROM ]]; then
        find_bundle "$FROM"
    elif [[ -f $ROOT/bundle.json ]]; then
        find_bundle "$ROOT"
    elif [[ -f $ROOT/pyproject.toml ]]; then
        SOURCE=clone FOLDER=$ROOT
        VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/pyproject.toml" | head -n 1)
        STAMP=$(cd -- "$ROOT" && find pyproject.toml constraints.txt agent cloud edge_server firmware_configs kinflow \
            models node protocol sim_devices benchmarks -type f ! -name '*.pyc' -print0 2> /dev/null |
            LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
    else
        fail 241 'There is neither a bundle nor a clone of Kinflow beside install.sh.' \
            'Name a bundle with --from FOLDER (kinflow bundle makes one), or use the one line that your edge shows.'
    fi
    # A version is the name of a folder that root makes.
    if [[ ! $VERSION =~ ^[0-9A-Za-z][0-9A-Za-z.+_-]{0,60}$ ]]; then
        fail 242 "The version in $FOLDER can't be used." 'Make the bundle again with kinflow bundle.'
    fi
    say "  Kinflow $VERSION from $FOLDER, for $ARCH"
}

# Set ARCH as bundles name it, and tell what is special about this machine.
find_machine() {
    case $(uname -m) in
        x86_64) ARCH=x86_64 ;;
        aarch64 | arm64) ARCH=arm64 ;;
        *) fail 243 "Kinflow has no bundle for this processor ($(uname -m))." 'It runs on 64-bit x86 and ARM.' ;;
    esac
    # A 64-bit kernel below 32-bit programs: Raspberry Pi OS (32-bit) on a newer board.
    if has getconf && [[ $(getconf LONG_BIT) == 32 ]]; then
        fail 243 'The kernel is 64-bit, but this system is 32-bit.' 'Flash the 64-bit image of the same system.'
    fi
    if [[ -e $UNDER/etc/nv_tegra_release ]]; then
        say '  This is a Jetson: Kinflow runs on its CPU here; the GPU is used only by libraries that were built for it.'
    fi
}

# find_bundle PLACE: a bundle's folder, its tar, or a folder (a USB stick) that holds one for this machine.
find_bundle() {
    local place=$1 found
    if [[ -d $place && ! -f $place/bundle.json ]]; then
        # The newest; its folder rather than its tar, which would have to be unpacked.
        found=$(find "$place" -maxdepth 1 \( -name "kinflow-*-$ARCH" -o -name "kinflow-*-$ARCH.tar" \) |
            sed 's/\.tar$//' | sort -V | tail -n 1)
        if [[ -z $found ]]; then
            fail 241 "There is no bundle for $ARCH in $place." "Make one with kinflow bundle --arch $ARCH --out $place."
        fi
        place=$found
        if [[ ! -f $place/bundle.json ]]; then place=$found.tar; fi
    fi
    if [[ -f $place ]]; then
        unpack_bundle "$place"
        place=$UNPACKED
    fi
    [[ -f $place/bundle.json ]] || fail 241 "There is no bundle at $place." 'Name the folder or the .tar that kinflow bundle made.'
    FOLDER=$(cd -- "$place" && pwd)
    SOURCE=bundle
    check_bundle
}

# An edge server hands the bundles of the stick that it came from to its own devices: those of its own version.
keep_bundles() {
    if [[ $TIER != edge || $SOURCE != bundle ]]; then return; fi
    local tar beside=${FROM:-$(dirname -- "$FOLDER")}
    if [[ -f $beside ]]; then beside=$(dirname -- "$beside"); fi
    for tar in "$beside/kinflow-$VERSION-"{arm64,x86_64}.tar; do
        if [[ ! -f $tar ]] || cmp -s -- "$tar" "$STATE/bundles/${tar##*/}"; then continue; fi
        say "  Keeping ${tar##*/} for devices."
        if [[ $DRY_RUN == yes ]]; then continue; fi
        # Read by root, who may read the stick; written by the owner.
        # shellcheck disable=SC2016 # the inner shell expands it
        as_service sh -c 'mkdir -p "$1" && cat > "$1/$2.part" && mv -f -T "$1/$2.part" "$1/$2"' \
            sh "$STATE/bundles" "${tar##*/}" < "$tar" || say "  ${tar##*/} could not be kept; copy it to $STATE/bundles."
    done
}

unpack_bundle() {
    UNPACKED=$(mktemp -d "${TMPDIR:-/var/tmp}/kinflow-bundle.XXXXXX")
    # shellcheck disable=SC2064 # the folder's name is known now
    trap "rm -rf -- '$UNPACKED'" EXIT
    tar -x -f "$1" -C "$UNPACKED" --no-same-owner ||
        fail 242 "The bundle $1 could not be unpacked." 'Copy it again; its disk may be full or damaged.'
    UNPACKED=$(find "$UNPACKED" -maxdepth 2 -name bundle.json -printf '%h\n' -quit)
    [[ $UNPACKED ]] || fail 242 "$1 is no bundle." 'Name the folder or the .tar that kinflow bundle made.'
}

# Every file is there, whole, and nothing else is. Sets VERSION and STAMP, and PYTHONS that the wheels are for.
check_bundle() {
    local python said line
    python=$(any_python) || fail 34 'There is no Python on this machine to read the bundle with.' \
        'Install it first: sudo apt-get install python3'
    said=$("$python" -I "$SYSTEM_PARTS/check_bundle.py" "$FOLDER" "$ARCH" 2>&1) || {
        case $said in
            arch:*) fail 243 "The bundle $FOLDER is for ${said#arch:}, this machine is $ARCH." "Make one with kinflow bundle --arch $ARCH." ;;
            *) fail 242 "The bundle $FOLDER is damaged: ${said##*$'\n'}." 'Copy it again, or make it anew with kinflow bundle.' ;;
        esac
    }
    while IFS= read -r line; do
        case $line in
            version:*) VERSION=${line#*:} ;;
            stamp:*) STAMP=${line#*:} ;;
            python:*) PYTHONS=${line#*:} ;;
            size_mb:*) BUNDLE_MB=${line#*:} ;;
        esac
    done <<< "$said"
}

any_python() {
    local name
    for name in ${KINFLOW_PYTHON:+"$KINFLOW_PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 6))' > /dev/null 2>&1; then
            printf '%s\n' "$name"
            return
        fi
    done
    return 1
}
