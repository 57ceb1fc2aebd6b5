#!/usr/bin/env bash
# An emulated Raspberry Pi 3 runs planktor as it is cross built, and drivers/tests/pi.rs: rppal on the Pi's own pins, the
# kernel's own drivers of its I2C and SPI, a clock and an EEPROM on I2C. The only Pi that there is here. As root, on
# Debian, x86-64. Prints what passed; exits with 1 if anything failed or was not tried.
#
#   hil-tests/pi/run.sh
#
# QEMU, the kernel and busybox are those of Debian 13, from wherever this computer has its own Debian.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PLANKTOR_CACHE:-$HOME/.cache/planktor}
work=$cache/pi
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive

missing=()
for pair in cpio:cpio modprobe:kmod fdtput:device-tree-compiler xz:xz-utils; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ "${#missing[@]}" -eq 0 ] ||
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >&2

planktor=$("$root/hil-tests/debian/build.sh" aarch64)
tests=$("$root/hil-tests/debian/build.sh" aarch64 -p planktor-drivers --test pi)
trixie=$("$root/hil-tests/debian/chroot.sh" trixie qemu-system-arm)
libraries=$("$root/hil-tests/debian/chroot.sh" bullseye libc6:arm64)

# Debian's kernel for such machines, whatever version it has today, unpacked and not installed.
chroot "$trixie" dpkg --add-architecture arm64
[ -n "$(chroot "$trixie" apt-cache show linux-image-arm64:arm64 2>/dev/null)" ] || chroot "$trixie" apt-get update -qq
package=$(chroot "$trixie" apt-cache depends linux-image-arm64:arm64 |
    sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
version=${package#linux-image-}
mkdir -p "$work"
for deb in "$package" busybox-static; do
    if [ ! -e "$work/$deb" ]; then
        rm -rf "$trixie/tmp/deb"
        mkdir "$trixie/tmp/deb"
        chroot "$trixie" sh -c "cd /tmp/deb && apt-get download -q $deb:arm64" >&2
        dpkg -x "$trixie/tmp/deb/"*.deb "$work/$deb"
        rm -rf "$trixie/tmp/deb"
    fi
done
kernel=$work/$package
# modprobe looks into lib, Debian has it in usr/lib.
[ -e "$kernel/lib" ] || ln -s usr/lib "$kernel/lib"
[ -e "$kernel/lib/modules/$version/modules.dep" ] || depmod -b "$kernel" "$version"

# Mainline's device tree leaves SPI off and names no device on it; what Raspberry Pi OS does with dtparam=spi=on. The
# kernel wants a real device's name there: any of those that spidev knows.
tree=$work/pi3.dtb
spi=/soc/spi@7e204000
cp "$kernel/usr/lib/linux-image-$version/broadcom/bcm2837-rpi-3-b.dtb" "$tree"
fdtput -t s "$tree" "$spi" status okay
for select in 0 1; do
    fdtput -c "$tree" "$spi/spidev@$select"
    fdtput -t s "$tree" "$spi/spidev@$select" compatible rohm,dh2228fv
    fdtput -t i "$tree" "$spi/spidev@$select" reg "$select"
    fdtput -t i "$tree" "$spi/spidev@$select" spi-max-frequency 125000000
done

files=$work/initramfs
rm -rf "$files"
mkdir -p "$files"/{bin,dev,lib,modules,proc,sys}
busybox=$(find "$work/busybox-static" -name busybox -type f)
install "$busybox" "$files/bin/busybox"
install "$here/init" "$files/init"
for binary in "$planktor:planktor" "$tests:pi"; do
    aarch64-linux-gnu-strip -o "$files/${binary##*:}" "${binary%:*}"
    readelf -d "${binary%:*}" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
done | sort -u | while read -r library; do
    cp -L "$libraries/lib/aarch64-linux-gnu/$library" "$files/lib/"
done
for module in i2c-bcm2835 i2c-dev spi-bcm2835 spidev; do
    modprobe -d "$kernel" -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
    name=$(basename "$path" .xz)
    case $path in *.xz) xz -dc "$path" > "$files/modules/$name" ;; *) cp "$path" "$files/modules/$name" ;; esac
    echo "$name" >> "$files/modules/order"
done
(cd "$files" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initramfs.gz"

# The console is the Pi's second serial port. rppal reaches the pins through /dev/mem where there is no /dev/gpiomem.
mkdir -p "$trixie/tmp/pi"
cp "$kernel/boot/vmlinuz-$version" "$trixie/tmp/pi/vmlinuz"
cp "$tree" "$trixie/tmp/pi/pi3.dtb"
cp "$work/initramfs.gz" "$trixie/tmp/pi/initramfs.gz"
began=$SECONDS
timeout 600 chroot "$trixie" qemu-system-aarch64 -machine raspi3b -display none -monitor none -no-reboot \
    -serial null -serial stdio -kernel /tmp/pi/vmlinuz -dtb /tmp/pi/pi3.dtb -initrd /tmp/pi/initramfs.gz \
    -device ds1338,bus=i2c-bus.1,address=0x68 -device at24c-eeprom,bus=i2c-bus.1,address=0x50,rom-size=4096 \
    -append "console=ttyS1,115200 iomem=relaxed quiet panic=-1 rdinit=/init" </dev/null 2>&1 |
    tr -d '\r' > "$work/console.txt" || true
rm -rf "$trixie/tmp/pi"
grep -a -E '^(up|end|passed|FAILED): ' "$work/console.txt" || true
echo "$((SECONDS - began)) s; all that was said: $work/console.txt"
passed=$(grep -a -c '^passed: ' "$work/console.txt" || true)
if [ "$passed" -ne 12 ] || grep -a -q '^FAILED: ' "$work/console.txt" || ! grep -a -q '^end: ' "$work/console.txt"; then
    echo "pi/run.sh: $passed of 12 passed" >&2
    exit 1
fi
