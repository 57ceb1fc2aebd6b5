#!/usr/bin/env bash
# Builds planktor with the feature csi against Debian 13's libcamera, and runs drivers/tests/csi.rs on it in a virtual
# machine, with the kernel's vimc: a camera of which everything is software, from the sensor to the scaler. As root, on
# Debian, x86-64. Exits with 1 if anything failed.
#
#   hil-tests/csi/run.sh build       # only lints, the tests that need no camera, and the whole program
#   hil-tests/csi/run.sh             # that, and the camera
#
# Rust comes from this computer (rustup's folders, shown to the other Debian), libcamera from Debian 13, the kernel from
# this computer's Debian; that has no vimc, so it is built from the kernel's source. PLANKTOR_CACHE: where all these are
# kept (default: ~/.cache/planktor); nothing is lost if it is emptied. WORK: where the rest is put (default: target/csi).
# ACCEL: kvm where it works (default: tcg, everywhere).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hil=$(dirname "$here")
sources=$(dirname "$hil")
# shellcheck source=hil-tests/guest.sh
. "$hil/guest.sh"
cache=${PLANKTOR_CACHE:-$HOME/.cache/planktor}
work=${WORK:-${CARGO_TARGET_DIR:-$sources/target}/csi}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$work"

mapfile -t missing < <(lacking busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils gcc-12:gcc-12 make:make \
    strip:binutils qemu-system-x86_64:qemu-system-x86 | xargs -rn 1)
[ "${#missing[@]}" -eq 0 ] ||
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >&2
trixie=$("$hil/debian/chroot.sh" trixie libcamera-dev libcamera-ipa g++ libclang-dev pkg-config)

# Runs a command there, where the sources are at the same place. What is mounted is gone with the command.
there() {
    local folder
    for folder in "$sources" "$work" "$cargo_home" "$rustup_home"; do mkdir -p "$trixie$folder"; done
    unshare --mount bash -euc '
        trixie=$1
        shift
        while [ "$1" != -- ]; do
            mount --bind "$1" "$trixie$1"
            shift
        done
        mount -t proc proc "$trixie/proc"
        shift
        exec chroot "$trixie" "$@"
    ' there "$trixie" "$sources" "$work" "$cargo_home" "$rustup_home" -- \
        env --chdir "$sources" PATH="$cargo_home/bin:/usr/bin:/bin" CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
        CARGO_TARGET_DIR="$work" CARGO_NET_OFFLINE=true "$@"
}

cargo fetch --locked --manifest-path "$sources/Cargo.toml" >&2
there cargo clippy --locked -p planktor-drivers --features csi --all-targets -- -D warnings
there cargo test --locked -p planktor-drivers --features csi --lib linux::
there cargo build --locked -p planktor-runtime --features csi --bin planktor
there "$work/debug/planktor" --version
[ "${1:-}" != build ] || exit 0

camera=$(there cargo test --locked -p planktor-drivers --features csi --test csi --no-run \
    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

# The kernel of today's Raspberry Pi OS where Debian has it, or else Debian's own, and vimc for it.
image=$(kernel_package amd64)
version=${image#linux-image-}
kernel=$cache/$version/kernel headers=$cache/$version/headers
unpack "$kernel" "$image"
kbuild=$(apt-cache depends "linux-headers-$version" | sed -n 's/.*Depends: \(linux-kbuild-[^:]*\)$/\1/p' | head -n 1)
unpack "$headers" "linux-headers-$version" "linux-headers-${version%-amd64}-common" "$kbuild"
minor=$(cut -d . -f 1-2 <<< "$version")
module=$cache/$version/vimc
if [ ! -e "$module/vimc.ko" ]; then
    unpack "$work/source" "linux-source-$minor"
    mkdir -p "$module"
    tar -xf "$work/source/usr/src/linux-source-$minor.tar.xz" -C "$module" --strip-components 5 \
        --wildcards '*/drivers/media/test-drivers/vimc/*'
    rm -r "$work/source"
    # libcamera takes the largest picture that the sensor has; an emulated processor would need two seconds to make one.
    sed -i 's/\(VIMC_FRAME_MAX_WIDTH\).*/\1 320/; s/\(VIMC_FRAME_MAX_HEIGHT\).*/\1 240/' "$module/vimc-common.h"
    # The headers name the folder that they would be installed in.
    sed -i "s#^include /usr/src/#include $headers/usr/src/#" "$headers/usr/src/linux-headers-$version/Makefile"
    make -s -C "$headers/usr/src/linux-headers-$version" M="$module" CONFIG_VIDEO_VIMC=m \
        CONFIG_DEBUG_INFO_BTF_MODULES= modules >&2
fi

# The test and libcamera with all that they need, each at its place; libcamera finds the rest by itself.
tree=$work/tree
root "$tree" "$here/init"
mkdir -p "$tree"/{usr/lib,lib64}
ln -s usr/lib "$tree/lib"
strip --strip-debug -o "$tree/bin/csi" "$camera"
libraries=usr/lib/x86_64-linux-gnu
there ldd "$camera" "/$libraries/libcamera/ipa_vimc.so" | grep -o '/[^ ]*\.so[^ :]*' | sort -u |
    while read -r library; do
        [ ! -e "$trixie$library" ] || install -D "$trixie$library" "$tree$library"
    done
for part in $libraries/libcamera usr/libexec/x86_64-linux-gnu/libcamera usr/share/libcamera; do
    mkdir -p "$tree/$part"
    cp -r "$trixie/$part/." "$tree/$part/"
done
# shellcheck disable=SC2046
modules "$tree" "$kernel" "$version" $(modinfo -F depends "$module/vimc.ko" | tr , ' ')
strip --strip-debug -o "$tree/modules/vimc.ko" "$module/vimc.ko"
echo vimc.ko >> "$tree/modules/order"
pack "$tree" "$work/initramfs"

began=$SECONDS
timeout 900 qemu-system-x86_64 -machine "q35,accel=${ACCEL:-tcg}" -cpu max -smp 1 -m 1024 \
    -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null 2>&1 | tr -d '\r' > "$work/console.txt" || true
grep -a -E '^(up|end|test) ?' "$work/console.txt" || true
echo "$((SECONDS - began)) s; all that was said: $work/console.txt"
if ! grep -a -q '^end: 0' "$work/console.txt"; then
    echo "csi/run.sh: failed" >&2
    exit 1
fi
