#!/usr/bin/env bash
# Makes a small Debian in a folder, if it is not there yet, and prints where. As root, on Debian.
#
#   hil-tests/debian/chroot.sh bookworm                        # a minute and 210 MB
#   hil-tests/debian/chroot.sh trixie qemu-system-arm …        # with these packages, of other architectures, too: libc6:arm64
#
# PLANKTOR_CACHE: where they are kept (default: ~/.cache/planktor). It can be removed at any time.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
suite=${1:?which Debian?}
shift
root=${PLANKTOR_CACHE:-$HOME/.cache/planktor}/$suite
export DEBIAN_FRONTEND=noninteractive

if [ ! -e "$root/.made" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "chroot.sh: only root can make a Debian in a folder" >&2
        exit 1
    fi
    command -v debootstrap >/dev/null ||
        apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends debootstrap >&2
    # From wherever this computer has its own Debian.
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk -v codename="$codename" '$2 == codename { print $1; exit }')
    if [ -z "$mirror" ]; then
        echo "chroot.sh: apt knows no archive of $codename on this computer; apt-get update" >&2
        exit 1
    fi
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >&2
    touch "$root/.made"
fi

missing=()
for package in "$@"; do
    [ "$(chroot "$root" dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    for package in "${missing[@]}"; do
        case $package in *:*) chroot "$root" dpkg --add-architecture "${package#*:}" ;; esac
    done
    chroot "$root" apt-get update -qq >&2
    chroot "$root" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
    chroot "$root" apt-get clean
fi
echo "$root"
