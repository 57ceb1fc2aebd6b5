#!/usr/bin/env bash
# An emulated Raspberry Pi 3 runs planktor as it is cross built, and drivers/tests/pi.rs: rppal on the Pi's own pins, the
# kernel's own drivers of its I2C and SPI, a clock and an EEPROM on I2C. The only Pi that there is here. As root, on
# Debian, x86-64. Prints what passed; exits with 1 if anything failed or was not tried.
#
#   hil-tests/pi/run.sh
#
# QEMU is Debian 13's: before, its Pi had no I2C. PLANKTOR_CACHE: where that and the kernel are kept (default:
# ~/.cache/planktor); nothing is lost if it is emptied. WORK: where the rest is put (default: target/pi).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hil=$(dirname "$here")
# shellcheck source=hil-tests/guest.sh
. "$hil/guest.sh"
cache=${PLANKTOR_CACHE:-$HOME/.cache/planktor}
work=${WORK:-${CARGO_TARGET_DIR:-$(dirname "$hil")/target}/pi}
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive

mapfile -t missing < <(lacking busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils fdtput:device-tree-compiler |
    xargs -rn 1)
[ "${#missing[@]}" -eq 0 ] ||
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >&2
planktor=$("$hil/debian/build.sh" aarch64)
tests=$("$hil/debian/build.sh" aarch64 -p planktor-drivers --test pi)
trixie=$("$hil/debian/chroot.sh" trixie qemu-system-arm)
libraries=$("$hil/debian/chroot.sh" bullseye libc6:arm64)

# Debian's kernel for such machines (building for them has told apt of their packages), and a busybox for them.
image=$(kernel_package arm64:arm64)
image=${image%:arm64}
version=${image#linux-image-}
kernel=$cache/$version/kernel
unpack "$kernel" "$image:arm64"
unpack "$cache/busybox-arm64" busybox-static:arm64

# Mainline's device tree leaves SPI off and names no device on it; what Raspberry Pi OS does with dtparam=spi=on. The
# kernel wants a real device's name there: any of those that spidev knows.
mkdir -p "$work"
board=$work/pi3.dtb
spi=/soc/spi@7e204000
cp "$(find "$kernel" -name bcm2837-rpi-3-b.dtb)" "$board"
fdtput -t s "$board" "$spi" status okay
for select in 0 1; do
    fdtput -c "$board" "$spi/spidev@$select"
    fdtput -t s "$board" "$spi/spidev@$select" compatible rohm,dh2228fv
    fdtput -t i "$board" "$spi/spidev@$select" reg "$select"
    fdtput -t i "$board" "$spi/spidev@$select" spi-max-frequency 125000000
done

tree=$work/tree
root "$tree" "$here/init"
mkdir "$tree/lib"
cp "$(find "$cache/busybox-arm64" -path '*/bin/busybox' -type f)" "$tree/bin/busybox"
aarch64-linux-gnu-strip -o "$tree/bin/planktor" "$planktor"
aarch64-linux-gnu-strip -o "$tree/bin/pi" "$tests"
readelf -d "$planktor" "$tests" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u | while read -r library; do
    cp -L "$libraries/lib/aarch64-linux-gnu/$library" "$tree/lib/"
done
# The watchdog is what switches a Pi off: without it the machine never ends.
modules "$tree" "$kernel" "$version" bcm2835_wdt i2c-bcm2835 i2c-dev spi-bcm2835 spidev
pack "$tree" "$work/initramfs"

# The console is the Pi's second serial port. rppal reaches the pins through /dev/mem where there is no /dev/gpiomem.
machine=$trixie/tmp/pi
mkdir -p "$machine"
cp "$kernel/boot/vmlinuz-$version" "$machine/vmlinuz"
cp "$board" "$work/initramfs" "$machine/"
began=$SECONDS
timeout 300 chroot "$trixie" qemu-system-aarch64 -machine raspi3b -display none -monitor none -no-reboot \
    -serial null -serial stdio -kernel /tmp/pi/vmlinuz -dtb /tmp/pi/pi3.dtb -initrd /tmp/pi/initramfs \
    -device ds1338,bus=i2c-bus.1,address=0x68 -device at24c-eeprom,bus=i2c-bus.1,address=0x50,rom-size=4096 \
    -append "console=ttyS1,115200 iomem=relaxed quiet panic=-1 rdinit=/init" </dev/null 2>&1 |
    stdbuf -o0 tr -d '\r' > "$work/console.txt" || true
rm -r "$machine"
grep -a -E '^(up|end|passed|FAILED): ' "$work/console.txt" || true
echo "$((SECONDS - began)) s; all that was said: $work/console.txt"
passed=$(grep -a -c '^passed: ' "$work/console.txt" || true)
if [ "$passed" -ne 12 ] || grep -a -q '^FAILED: ' "$work/console.txt" || ! grep -a -q '^end: ' "$work/console.txt"; then
    echo "pi/run.sh: $passed of 12 passed" >&2
    exit 1
fi
