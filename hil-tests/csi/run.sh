#!/usr/bin/env bash
# Builds planktor with the feature csi against Debian 13's libcamera, and runs drivers/tests/csi.rs on it in a virtual
# machine, on the kernel's vimc: a camera of which everything but the light is software. As root, on Debian, x86-64.
#
#   hil-tests/csi/run.sh build       # only the build: lints, and the whole program
#   hil-tests/csi/run.sh             # that, and the tests
#
# Rust comes from this computer (rustup's folders, shown to the other Debian), everything else from Debian 13. Its kernel
# has no vimc, so that is built from the kernel's source.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PLANKTOR_CACHE:-$HOME/.cache/planktor}
work=$cache/csi
target=${CARGO_TARGET_DIR:-$root/target}/csi
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$work" "$target"

trixie=$("$root/hil-tests/debian/chroot.sh" trixie libcamera-dev g++ libclang-dev pkg-config)

# What is mounted is gone with the command.
inside() {
    local folder
    for folder in "$root" "$target" "$cargo_home" "$rustup_home"; do mkdir -p "$trixie$folder"; done
    unshare --mount --propagation private bash -euc '
        trixie=$1
        shift
        while [ "$1" != -- ]; do
            mount --bind "$1" "$trixie$1"
            shift
        done
        shift
        mount -t proc proc "$trixie/proc"
        exec chroot "$trixie" "$@"
    ' inside "$trixie" "$root" "$target" "$cargo_home" "$rustup_home" -- \
        env --chdir "$root" PATH="$cargo_home/bin:/usr/bin:/bin" CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
        CARGO_TARGET_DIR="$target" CARGO_NET_OFFLINE=true "$@"
}

# The other Debian needs no network.
cargo fetch --locked --manifest-path "$root/Cargo.toml" >&2
inside cargo clippy --locked -p planktor-drivers --features csi --all-targets -- -D warnings
inside cargo test --locked -p planktor-drivers --features csi --lib -- linux::csi
inside cargo build --locked -p planktor-runtime --features csi --bin planktor
inside "$target/debug/planktor" --version
[ "${1:-}" != build ] || exit 0
csi=$(inside cargo test --locked -p planktor-drivers --features csi --test csi --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

missing=()
for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ "${#missing[@]}" -eq 0 ] ||
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >&2

# vimc for Debian's kernel, whatever version it has today; the kernel itself is unpacked and not installed.
trixie=$("$root/hil-tests/debian/chroot.sh" trixie libcamera-ipa linux-headers-amd64 linux-source make xz-utils)
version=$(basename "$(ls -d "$trixie"/lib/modules/*-amd64 | sort -V | tail -n 1)")
kernel=$work/$version
if [ ! -e "$kernel/vimc.ko" ]; then
    rm -rf "$kernel"
    mkdir -p "$kernel/vimc" "$trixie/tmp/vimc" "$trixie/tmp/deb"
    chroot "$trixie" sh -c "cd /tmp/deb && apt-get download -q linux-image-$version" >&2
    dpkg -x "$trixie/tmp/deb/"*.deb "$kernel"
    [ -e "$kernel/lib" ] || ln -s usr/lib "$kernel/lib"
    depmod -b "$kernel" "$version"
    chroot "$trixie" tar -xf "$(cd "$trixie" && echo /usr/src/linux-source-*.tar.xz)" -C /tmp/vimc --strip-components 5 \
        --wildcards '*/drivers/media/test-drivers/vimc/*'
    chroot "$trixie" make -s -C "/lib/modules/$version/build" M=/tmp/vimc CONFIG_VIDEO_VIMC=m modules >&2
    cp "$trixie/tmp/vimc/vimc.ko" "$kernel/vimc.ko"
    rm -rf "$trixie/tmp/vimc" "$trixie/tmp/deb"
fi

files=$work/initramfs
rm -rf "$files"
mkdir -p "$files"/{bin,dev,modules,proc,sys,usr/lib/x86_64-linux-gnu,usr/share,usr/libexec,lib64}
ln -s usr/lib "$files/lib"
cp "$(command -v busybox)" "$files/bin/busybox"
install "$here/init" "$files/init"
strip -g -o "$files/csi" "$csi"
for of in "$csi" /usr/lib/x86_64-linux-gnu/libcamera/ipa_vimc.so; do
    inside ldd "$of"
done | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
    install -D "$trixie$library" "$files$library"
done
cp -r "$trixie/usr/lib/x86_64-linux-gnu/libcamera" "$files/usr/lib/x86_64-linux-gnu/"
cp -r "$trixie/usr/libexec/x86_64-linux-gnu" "$files/usr/libexec/"
cp -r "$trixie/usr/share/libcamera" "$files/usr/share/"
for module in $(modinfo -F depends "$kernel/vimc.ko" | tr ',' ' '); do
    modprobe -d "$kernel" -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
    name=$(basename "$path" .xz)
    case $path in *.xz) xz -dc "$path" > "$files/modules/$name" ;; *) cp "$path" "$files/modules/$name" ;; esac
    echo "$name" >> "$files/modules/order"
done
strip -g -o "$files/modules/vimc.ko" "$kernel/vimc.ko"
echo vimc.ko >> "$files/modules/order"
(cd "$files" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initramfs.gz"

began=$SECONDS
timeout 600 qemu-system-x86_64 -machine "q35,accel=${ACCEL:-tcg}" -cpu max -smp 2 -m 1024 \
    -nodefaults -no-reboot -nographic -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null 2>&1 | tr -d '\r' > "$work/console.txt" || true
grep -a -E '^(up|end|test) ?|^test result' "$work/console.txt" || true
echo "$((SECONDS - began)) s; all that was said: $work/console.txt"
if ! grep -a -q '^end: 0' "$work/console.txt"; then
    echo "csi/run.sh: failed; see $work/console.txt" >&2
    exit 1
fi
