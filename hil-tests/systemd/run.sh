#!/usr/bin/env bash
# docs/planktor.service, installed as docs/guard.md says and started by the systemd of a Debian as Raspberry Pi OS is one, in a
# virtual machine without an instrument. What is killed, stopped or wrong there is in `checks`. As root, on Debian, x86-64.
# Prints what passed; exits with 1 if anything failed or was not tried.
#
#   hil-tests/systemd/run.sh                   # Debian 13
#   hil-tests/systemd/run.sh bookworm          # Debian 12
#
# PLANKTOR_CACHE: where Debian and its kernel are kept (default: ~/.cache/planktor); nothing is lost if it is emptied.
# WORK: where the rest is put (default: target/systemd). ACCEL: kvm where it works (default: tcg, everywhere).
set -euo pipefail
suite=${1:-trixie}
here=$(cd "$(dirname "$0")" && pwd)
hil=$(dirname "$here")
sources=$(dirname "$hil")
# shellcheck source=hil-tests/guest.sh
. "$hil/guest.sh"
cache=${PLANKTOR_CACHE:-$HOME/.cache/planktor}
work=${WORK:-${CARGO_TARGET_DIR:-$sources/target}/systemd}
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$work"

mapfile -t missing < <(lacking busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils strip:binutils \
    qemu-system-x86_64:qemu-system-x86 | xargs -rn 1)
[ "${#missing[@]}" -eq 0 ] ||
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >&2
debian=$("$hil/debian/chroot.sh" "$suite" systemd systemd-sysv dbus util-linux procps)
# As `cargo test --workspace` builds it: after it nothing is left to build.
cargo test --manifest-path "$sources/Cargo.toml" --workspace --locked --features planktor-hil-tests/v4l --no-run \
    --test program >&2

image=$(kernel_package amd64)
version=${image#linux-image-}
kernel=$cache/kernels/$version/image
unpack "$kernel" "$image"

# The guest's root is that Debian, and above it, in memory, what is installed on it.
tree=$work/tree
root "$tree" "$here/init"
modules "$tree" "$kernel" "$version" 9p 9pnet_virtio overlay
mkdir "$tree/installed"
strip --strip-debug -o "$tree/installed/planktor" "${CARGO_TARGET_DIR:-$sources/target}/debug/planktor"
cp "$sources/docs/planktor.service" "$here"/checks{,.service} "$tree/installed/"
pack "$tree" "$work/initramfs"

# Without KVM the guest's time is what it has done, and what it would wait for comes at once.
accel=${ACCEL:-tcg}
[ "$accel" != tcg ] || counted=(-icount "shift=0,sleep=off" -rtc clock=vm)
began=$SECONDS
timeout 900 qemu-system-x86_64 -machine "q35,accel=$accel" -cpu max -smp 1 -m 1024 ${counted[@]+"${counted[@]}"} \
    -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 systemd.show_status=no systemd.mask=serial-getty@ttyS0.service" \
    -virtfs "local,path=$debian,mount_tag=debian,security_model=none,readonly=on" </dev/null 2>&1 |
    stdbuf -o0 tr -d '\r' > "$work/console.txt" || true
grep -a -E '^(up|end|passed|FAILED): ' "$work/console.txt" || true
echo "$((SECONDS - began)) s; all that was said: $work/console.txt"
passed=$(grep -a -c '^passed: ' "$work/console.txt" || true)
all=$(grep -c '^try ' "$here/checks")
if [ "$passed" -ne "$all" ] || ! grep -a -q '^end: ' "$work/console.txt"; then
    echo "systemd/run.sh: $passed of $all passed" >&2
    exit 1
fi
