#!/usr/bin/env bash
# Cuts the power of a real file system at every moment of two acquisitions, and looks whether anything is lost that
# was recorded. See hil-tests/README.md. Debian, x86-64; as root the disks are recovered by mounting them.
#
#   hil-tests/power/power.sh                                  # ext4 as Debian mounts it
#   FS=xfs OPTIONS=nouuid hil-tests/power/power.sh            # ext4, xfs or btrfs, and its mount options
#   hil-tests/power/power.sh --samples 100 --seed 2           # further options: power.sh --help
#
# PLANKTOR: a static binary instead of building one. WORK: where everything is put (default: target/power). ACCEL: kvm
# where it works (default: tcg, everywhere; 40 s).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=hil-tests/guest.sh
. "$here/../guest.sh"
fs=${FS:-ext4}
options=${OPTIONS:-defaults}
work=${WORK:-${CARGO_TARGET_DIR:-$root/target}/power}
bytes=$((512 << 20))
PATH="$PATH:/usr/sbin:/sbin"
case " $* " in *" --help "*) exec python3 "$here/replay.py" --help ;; esac

missing=$(lacking qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod python3:python3 \
    "mkfs.$fs":"$fs" | sed 's/\bext4 /e2fsprogs /; s/\bxfs /xfsprogs /; s/\bbtrfs /btrfs-progs /')
if [ -n "$missing" ]; then
    echo "power.sh: these packages are missing: apt-get install --no-install-recommends $missing" >&2
    exit 1
fi
mkdir -p "$work"

# A static program runs in the virtual machine without anything else.
planktor=${PLANKTOR:-}
if [ -z "$planktor" ]; then
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --manifest-path "$root/Cargo.toml" --locked \
        --target x86_64-unknown-linux-gnu --bin planktor
    planktor=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/debug/planktor
fi

# Debian's kernel, whatever version it has today.
package=$(behind linux-image-amd64)
version=${package#linux-image-}
kernel=$work/$version
unpack "$kernel" "$package"

tree=$work/tree
root "$tree" "$here/init"
install -m 755 "$planktor" "$tree/planktor"
cp "$here/scenario.toml" "$tree/scenario.toml"
echo "$bytes" > "$tree/fs-bytes"
modules "$tree" "$kernel" "$version" virtio_pci virtio_scsi sd_mod crc32c_generic "$fs"
pack "$tree" "$work/initramfs"

# The disk: a file system, and behind it a megabyte for what was promised. A card that has been in use for a while, so
# its inode tables are not written only now.
before=$work/before.img disk=$work/disk.img log=$work/log.img
rm -f "$before" "$disk" "$log"
truncate -s "$bytes" "$before"
case $fs in
    ext4) mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$before" ;;
    *) "mkfs.$fs" -q "$before" ;;
esac
cp --sparse=always "$before" "$disk"
truncate -s $((bytes + (1 << 20))) "$disk"
truncate -s 0 "$log"

timeout 600 qemu-system-x86_64 -machine "q35,accel=${ACCEL:-tcg}" -cpu max -smp 2 -m 512 \
    -nodefaults -no-reboot -nographic -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 fs=$fs options=$options" \
    -blockdev driver=file,node-name=disk,filename="$disk" -blockdev driver=file,node-name=log,filename="$log" \
    -blockdev driver=blklogwrites,node-name=logged,file=disk,log=log,log-super-update-interval=1 \
    -device virtio-scsi-pci,num_queues=1,cmd_per_lun=1 -device scsi-hd,drive=logged,write-cache=on \
    </dev/null | tr -d '\r' | tee "$work/console.txt" | grep -a -v status/ || true
for said in '^disk: write back' '^planktor: exit code 0' '^promises: [1-9]'; do
    if ! grep -a -q "$said" "$work/console.txt"; then
        echo "power.sh: the virtual machine did not say '$said'; see $work/console.txt" >&2
        exit 1
    fi
done

exec python3 "$here/replay.py" --fs "$fs" --options "$options" "$@" "$log" "$before" "$planktor"
