#!/usr/bin/env bash
# Builds a program for old and new Debians, and prints where it is. As root, on Debian, x86-64. What it is, is said to
# cargo; if nothing is said, planktor.
#
#   hil-tests/debian/build.sh x86_64          # with the cargo of this computer
#   hil-tests/debian/build.sh aarch64         # for a Raspberry Pi: with Debian's own compilers
#   hil-tests/debian/build.sh aarch64 -p planktor-runtime --bin planktor --release
#   hil-tests/debian/build.sh aarch64 -p planktor-drivers --test pi
#
# A program runs with the C library that it was linked with and with every newer one. So it is linked with an old one:
# OLDEST (default: bullseye, Debian 11 of 2021).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
machine=${1:?x86_64 or aarch64?}
shift
[ "$#" -gt 0 ] || set -- -p planktor-runtime --bin planktor
target=${CARGO_TARGET_DIR:-$root/target}
export DEBIAN_FRONTEND=noninteractive

case $machine in
    x86_64)
        debian=amd64
        cargo=(cargo)
        ;;
    aarch64)
        debian=arm64
        # Debian's newest compilers are those that it keeps for its browsers; each brings its own standard library.
        needed=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross rustc-web cargo-web libstd-rust-web-dev:arm64)
        if ! dpkg-query -W "${needed[@]}" >/dev/null 2>&1; then
            dpkg --add-architecture arm64
            apt-get update -qq >&2
            apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${needed[@]}" >&2
        fi
        export RUSTC=/usr/bin/rustc
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        # Build scripts and macros are made by the same compiler, beside those that the computer's own one made.
        export CARGO_TARGET_DIR=$target/aarch64
        cargo=(/usr/bin/cargo)
        set -- --target aarch64-unknown-linux-gnu "$@"
        ;;
    *)
        echo "build.sh: $machine is neither x86_64 nor aarch64" >&2
        exit 2
        ;;
esac

oldest=$("$here/chroot.sh" "${OLDEST:-bullseye}" "libc6-dev:$debian")
libraries=$oldest/usr/lib/$machine-linux-gnu
# Absolute links lead out of a folder that is not the root: the loader's is one.
find "$oldest"/lib*/ "$libraries"/ -maxdepth 1 -type l -lname '/*' | while read -r link; do
    ln -sfnr "$oldest$(readlink "$link")" "$link"
done

"${cargo[@]}" rustc --manifest-path "$root/Cargo.toml" --locked --message-format json-render-diagnostics "$@" -- \
    -C link-arg="--sysroot=$oldest" -C link-arg="-B$libraries" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
