#!/usr/bin/env bash
# The release code against real device nodes: boots Debian's kernel in QEMU with the twin's chips behind /dev/spidev0.0,
# /dev/i2c-1 and the GPIO character device, and runs the checks of `hil-tests/src/vm` there. See hil-tests/README.md.
# Debian, x86-64. Where its tools are missing and cannot be installed it says so and is skipped.
#
#   hil-tests/vm/vm.sh                       # everything
#   hil-tests/vm/vm.sh i2c                   # only checks with this in their name
#   ROUNDS=50 hil-tests/vm/vm.sh guard       # the guard's, with four kills or hangs a round on each board; usual is 1
#
# PLANKTOR_CACHE: where the kernel's packages are kept unpacked (default: ~/.cache/planktor); nothing is lost if it is
# emptied. WORK: where the rest is put (default: target/vm). ACCEL: kvm where it works (default: tcg, everywhere).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=hil-tests/guest.sh
. "$here/../guest.sh"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
cache=${PLANKTOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/planktor}
work=${WORK:-$CARGO_TARGET_DIR/vm}
PATH="$PATH:/usr/sbin:/sbin"

skip() {
    echo "skipped: the virtual machine: $*"
    exit 0
}
[ "$(uname -m)" = x86_64 ] || skip "its guest is x86-64, and this computer is not"
command -v apt-get >/dev/null || skip "its kernel is Debian's, and there is no apt-get"
read -ra missing <<< "$(lacking qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils \
    gcc-12:gcc-12 make:make strip:binutils mosquitto:mosquitto gpsd:gpsd)"
# What v4l is built with has no command.
compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || missing+=(libclang-dev)
if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" -eq 0 ] || skip "${missing[*]} missing (Debian: apt-get install ${missing[*]})"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || skip "${missing[*]} cannot be installed"
fi

image=$(kernel_package amd64) || { [ "$(id -u)" -ne 0 ] || apt-get update -qq; image=$(kernel_package amd64); } || skip "apt knows no kernel"
version=${image#linux-image-}
kernel=$cache/kernels/$version/image headers=$cache/kernels/$version/headers
unpack "$kernel" "$image" || { apt-get update -qq && image=$(kernel_package amd64) && unpack "$kernel" "$image"; } ||
    skip "$image cannot be fetched"
common=linux-headers-${version%-amd64}-common
kbuild=$(apt-cache depends "linux-headers-$version" | sed -n 's/.*Depends: \(linux-kbuild-[^:]*\)$/\1/p' | head -n 1)
unpack "$headers" "linux-headers-$version" "$common" "$kbuild" || skip "linux-headers-$version cannot be fetched"

# The module, built as the kernel was; its headers name the folder that they would be installed in.
mkdir -p "$work/farend" "$work/out"
cp "$here"/farend/* "$work/farend/"
sed -i "s#^include /usr/src/#include $headers/usr/src/#" "$headers/usr/src/linux-headers-$version/Makefile"
make -s -C "$headers/usr/src/linux-headers-$version" M="$work/farend" CONFIG_DEBUG_INFO_BTF_MODULES= modules

# The programs, as `cargo test --workspace` builds them for these two tests: after it nothing is left to build.
built=$(cargo test --manifest-path "$root/Cargo.toml" --workspace --locked --features planktor-hil-tests/v4l --no-run \
    --test program --test v4l 2>&1) || { echo "$built" >&2; exit 1; }
camera=$(sed -n 's/.*Executable tests\/v4l\.rs (\(.*\))$/\1/p' <<<"$built")

tree=$work/tree
root "$tree" "$here/init"
modules "$tree" "$kernel" "$version" 9p 9pnet_virtio i2c-dev vivid
strip --strip-debug -o "$tree/modules/farend.ko" "$work/farend/farend.ko"
echo farend.ko >> "$tree/modules/order"
cp "$camera" "$work/v4l"
programs "$tree" "$CARGO_TARGET_DIR"/debug/{planktor,vm} "$work/v4l" "$(command -v mosquitto)" "$(command -v gpsd)"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$tree/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$tree/etc/group"
printf '127.0.0.1 localhost\n' > "$tree/etc/hosts"
echo 'hosts: files' > "$tree/etc/nsswitch.conf"
pack "$tree" "$work/initramfs"

# One processor: with two a round trip to the far end takes ten times as long. Without KVM its time is what it has done, a
# nanosecond an instruction, and what it would wait for comes at once: so a busy computer makes no time-out come too early.
accel=${ACCEL:-tcg}
[ "$accel" != tcg ] || counted=(-icount "shift=0,sleep=off" -rtc clock=vm)
rm -rf "${work:?}/out"
mkdir -p "$work/out"
timeout "$((900 + 90 * ${ROUNDS:-0}))" qemu-system-x86_64 -machine "q35,accel=$accel" -cpu max -smp 1 -m 768 ${counted[@]+"${counted[@]}"} \
    -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
    -append "console=ttyS0 loglevel=3 panic=-1 ROUNDS=${ROUNDS:-1} run=\"vm $*\"" \
    -virtfs "local,path=$work/out,mount_tag=out,security_model=mapped-xattr" \
    </dev/null | sed -u 's/\r$//' | tee "$work/console.txt" || true
code=$(cat "$work/out/code" 2>/dev/null) || {
    echo "vm.sh: the virtual machine did not come to its end; see $work/console.txt" >&2
    exit 1
}
[ "$code" -eq 0 ] || exit "$code"
if grep -E 'BUG:|WARNING:|Oops|rcu.*stall|blocked for more' "$work/out/dmesg.log" >&2; then
    echo "vm.sh: the kernel complains; see $work/out/dmesg.log" >&2
    exit 1
fi

# What came of it, on another computer: the data set verifies, and the journal replays on a twin.
if [ "$#" -eq 0 ]; then
    "$CARGO_TARGET_DIR/debug/planktor" verify "$work/out/whole"
    "$CARGO_TARGET_DIR/debug/planktor" replay "$work/out/whole.journal"
fi
