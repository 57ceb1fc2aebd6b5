#!/usr/bin/env bash
# One program for old and new Debians, on a PC and on a Raspberry Pi: builds it for both, and runs it in a Debian of
# 2021, of 2023 and of 2025. Each takes an acquisition on the twin and verifies the data set. As root, on Debian, x86-64;
# for aarch64 by QEMU's emulation of a processor. Prints a table; exits with 1 if anything in it failed.
#
#   hil-tests/debian/run.sh                   # both
#   hil-tests/debian/run.sh aarch64           # one of them; what is said after it is said to build.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive
# Everything that it may need from the system: the C library, in one piece or in its older pieces, and libgcc_s, the C
# compiler's, which libc6 depends on: there is no Debian without it.
allowed='^(ld-linux-(x86-64|aarch64)|libc|libm|libpthread|libdl|librt|libutil|libgcc_s)\.so\.[0-9]+$'
machines=(x86_64 aarch64)
case ${1:-} in x86_64 | aarch64) machines=("$1") && shift ;; esac
failed=0

row() {
    printf '%-8s  %-9s  %-10s  %-7s  %-11s  %-6s  %s\n' "$@"
}

table=$(mktemp)
row machine Debian "C library" starts acquisition verify seconds > "$table"
for machine in "${machines[@]}"; do
    planktor=$("$here/build.sh" "$machine" "$@")
    needed=$(readelf -d "$planktor" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    newest=$(readelf -V "$planktor" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    echo "$planktor: $(wc -c < "$planktor") bytes, needs $newest and" $needed >> "$table"
    if others=$(grep -v -E "$allowed" <<< "$needed"); then
        echo "  FAILED: not of the C library:" $others >> "$table"
        failed=1
    fi
    for suite in bullseye bookworm trixie; do
        emulated=()
        case $machine in
            x86_64) root=$("$here/chroot.sh" "$suite") ;;
            aarch64)
                root=$("$here/chroot.sh" "$suite" libc6:arm64)
                command -v qemu-aarch64-static >/dev/null ||
                    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends qemu-user-static >&2
                install "$(command -v qemu-aarch64-static)" "$root/tmp/qemu"
                emulated=(/tmp/qemu)
                ;;
        esac
        install "$planktor" "$root/tmp/planktor"
        cp "$here/scenario.toml" "$root/tmp/scenario.toml"
        rm -rf "$root/tmp/data"
        began=$SECONDS
        library=$(chroot "$root" dpkg-query -W -f '${Version}' libc6)
        results=()
        for tried in "--version" "run --twin /tmp/scenario.toml --hurry --data /tmp/data" "verify /tmp/data"; do
            if said=$(chroot "$root" "${emulated[@]}" /tmp/planktor $tried 2>&1); then
                results+=(passed)
            else
                results+=(FAILED)
                failed=1
                echo "$machine $suite: planktor $tried: $said" >&2
            fi
        done
        # That it verifies says nothing if nothing is there.
        frames=$(find "$root/tmp/data" -name '*.jpg' 2>/dev/null | wc -l)
        if [ "$frames" -ne 5 ]; then
            results[1]="$frames of 5"
            failed=1
        fi
        row "$machine" "$suite" "${library%%-*}" "${results[@]}" $((SECONDS - began)) >> "$table"
        rm -rf "$root/tmp"/{qemu,planktor,scenario.toml,data}
    done
done
cat "$table"
rm "$table"
exit "$failed"
