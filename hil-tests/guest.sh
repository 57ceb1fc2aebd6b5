# What every virtual machine here is made of: Debian's kernel, unpacked and not installed, and an initramfs with busybox,
# some of its modules and some programs. Sourced by the scripts in the folders beside it, which have set `-euo pipefail`.
# shellcheck shell=bash

# The packages of those `command:package` that are not there, a word each.
lacking() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair#*:}"
    done
}

# The package that a kernel's meta package stands for today: `linux-image-6.12-amd64` is some 6.12.x.
behind() {
    apt-cache depends "$1" 2>/dev/null | sed -n 's/.*Depends: \(linux-[a-z]*-[0-9].*\)/\1/p' | head -n 1
}

# The kernel of today's Raspberry Pi OS where Debian has it, or else Debian's own; the newest of either: `kernel_package amd64`.
kernel_package() {
    behind "linux-image-6.12-$1" | grep . || behind "linux-image-$1" | grep .
}

# Unpacks Debian packages into a folder: `unpack FOLDER PACKAGE…`. What was once unpacked stays, and is whole.
unpack() {
    local into=$1 new package version
    shift
    [ ! -d "$into" ] || return 0
    mkdir -p "$(dirname "$into")"
    new=$(mktemp -d "$into.XXXXXX")
    mkdir "$new/packages" "$new/unpacked"
    if ! (cd "$new/packages" && apt-get download -qq "$@" 2>"$new/refused"); then
        cat "$new/refused" >&2
        rm -rf "$new"
        return 1
    fi
    for package in "$new"/packages/*.deb; do dpkg -x "$package" "$new/unpacked"; done
    for version in "$new"/unpacked/lib/modules/*/kernel; do
        [ ! -d "$version" ] || depmod -b "$new/unpacked" "$(basename "$(dirname "$version")")"
    done
    mv -T "$new/unpacked" "$into" 2>/dev/null || true
    rm -rf "$new"
}

# An empty root file system with busybox and an init: `root TREE INIT`.
root() {
    rm -rf "$1"
    mkdir -p "$1"/{bin,dev,etc,mnt,modules,proc,run,sys,tmp}
    cp "$(command -v busybox)" "$1/bin/busybox"
    install -m 755 "$2" "$1/init"
}

# Puts modules with all that they need into a tree, and their order into modules/order: `modules TREE KERNEL VERSION
# MODULE…`.
modules() {
    local tree=$1 kernel=$2 version=$3 module
    shift 3
    for module in "$@"; do
        modprobe -d "$kernel" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
        name=$(basename "$path")
        case $path in *.xz) xz -dc "$path" > "$tree/modules/${name%.xz}" ;; *) cp "$path" "$tree/modules/$name" ;; esac
        echo "${name%.xz}" >> "$tree/modules/order"
    done
}

# Puts programs with the libraries that they are linked to into a tree, without what only a debugger reads: `programs
# TREE PROGRAM…`.
programs() {
    local tree=$1 program library
    shift
    for program in "$@"; do
        strip --strip-debug -o "$tree/bin/$(basename "$program")" "$program"
        { ldd "$program" | grep -o '/[^ ]*' || true; } | while read -r library; do
            [ -e "$tree$library" ] || install -D "$library" "$tree$library"
        done
    done
}

# The tree as one file that a kernel unpacks: `pack TREE FILE`. Not compressed: that would take the guest longer.
pack() {
    (cd "$1" && find . | cpio -o -H newc --quiet) > "$2"
}
