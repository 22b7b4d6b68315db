# shellcheck shell=bash
# A Debian kernel for the lab guest: fetched, unpacked, and with the modules that are built for it. Sourced after qemu/apt.sh, not run.
#
# Each kernel has a folder in CACHE/lab/kernels with its image, its headers, and the compiler that Debian builds modules with. The programs
# in it are of a newer Debian than this machine may be, so each is started by a script, with the folder's own libraries.

# kernel_open SERIES: sets `kernel` to the folder of the newest kernel of a series, such as 7.2, and `release` to its name. Fetches it if it
# is not in the cache. Needs the cache's lock.
kernel_open() {
    local series=$1 pin=$cache/lab/series-$1 suite lines name
    mkdir -p "$cache/lab/kernels" "$cache/lab/debs"
    rm -rf "$cache"/lab/kernels/.new.*
    # A kernel that was fetched stays in use for a day before the archive is asked again.
    if [[ ! -f $pin || -z $(find "$pin" -mmin -1440) ]] && [[ $mode == online ]]; then
        kernel_resolve "$series" "$pin.new" && mv "$pin.new" "$pin"
        [[ -f $pin ]] || exit 2
    fi
    [[ -f $pin ]] || die "offline, and no kernel of the series $series has been fetched into $cache: run without --offline once"
    read -r suite release <"$pin"
    lines=$(tail -n +2 "$pin")
    name=${release}_$(sha256sum <<<"$lines" | cut -c1-10)
    kernel=$cache/lab/kernels/$name
    [[ -f $kernel/root.lock ]] || kernel_make "$suite" "$lines"
}

# kernel_resolve SERIES FILE: writes to FILE the suite and release of the newest kernel, and the lines of its packages.
kernel_resolve() {
    local series=$1 file=$2 suite names found image
    local -a suites
    read -ra suites <<<"${ACKMATRIX_LAB_SUITES:-trixie trixie-backports}"
    apt_private "$cache/apt"
    apt_update "${suites[@]}" || return 1
    for suite in "${suites[@]}"; do
        # The headers name a release exactly; clouds and real-time kernels have other names.
        names=$(apt-cache -c "$apt_dir/apt.conf" -o "Dir::Etc::sourcelist=$apt_dir/$suite.sources" pkgnames linux-)
        found=$(sed -nE "s/^linux-headers-(${series//./\\.}[.+][0-9a-z.+~]*-amd64)\$/\1/p" <<<"$names" | sort -V | tail -n 1)
        [[ -n $found ]] || continue
        # Newer packages keep the image and its modules apart.
        image="linux-image-$found"
        if grep -qxF "linux-binary-$found" <<<"$names"; then image="linux-binary-$found linux-modules-$found"; fi
        {
            printf '%s %s\n' "$suite" "$found"
            apt_closure "$suite" "linux-headers-$found" busybox-static || return 1
            # Of the image only itself: what it depends on would install it.
            # shellcheck disable=SC2086 # two names
            apt_closure "$suite" $image "linux-source-$series" | awk -v wanted=" $image linux-source-$series " 'index(wanted, " " $1 " ")'
        } >"$file" || return 1
        return 0
    done
    say "none of the suites ${suites[*]} has a kernel of the series $series with headers"
    return 1
}

# unxz: decompresses standard input, with the tool of this machine or the one that was unpacked.
unxz_with() {
    if command -v xz >/dev/null; then xz -dc; else "$1/usr/bin/busybox" xz -dc; fi
}

# kernel_make SUITE LINES: makes the folder `kernel`. It is complete when it has its root.lock.
kernel_make() {
    local suite=$1 lines=$2 file version
    if [[ $mode == online && -z ${apt_dir:-} ]]; then apt_private "$cache/apt"; fi
    apt_download "$cache/lab/debs" "kernel $release" "$([[ $mode == online ]] || echo offline)" <<<"$lines"
    say "kernel $release: unpacking into $kernel"
    # The programs' scripts name the folder, so it is made in its place.
    rm -rf "$kernel"
    mkdir -p "$kernel"
    apt_unpack "$cache/lab/debs" "$kernel" < <(grep -vE '^linux-(source|modules|image)-' <<<"$lines")
    # Of thousands of modules the guest needs a handful.
    while read -r _ _ _ _ file _; do
        dpkg-deb --fsys-tarfile "$cache/lab/debs/${file##*/}" | tar -x -C "$kernel" --no-same-owner --keep-directory-symlink --wildcards \
            '*/modules.builtin' '*/kernel/drivers/vfio/*' '*/kernel/drivers/virtio/*' '*/kernel/drivers/iommu/*' '*/kernel/net/9p/*' \
            '*/kernel/fs/9p/*' '*/kernel/fs/netfs/*' '*/kernel/fs/overlayfs/*' '*/kernel/virt/*' './boot/vmlinuz-*' 2>/dev/null || true
    done < <(grep -E '^linux-(modules|image)-' <<<"$lines")
    for file in "$kernel/boot/vmlinuz-$release" "$kernel/usr/lib/modules/$release/vmlinuz"; do
        if [[ -f $file ]]; then ln -f "$file" "$kernel/vmlinuz"; fi
    done
    [[ -f $kernel/vmlinuz && -f $kernel/usr/lib/modules/$release/modules.builtin ]] ||
        die "kernel $release: the packages of $suite have no image or no modules where they are expected"

    read -r _ version _ _ file _ < <(grep '^linux-source-' <<<"$lines")
    say "kernel $release: looking for mtty in the source ($version)"
    mkdir "$kernel/mtty"
    dpkg-deb --fsys-tarfile "$cache/lab/debs/${file##*/}" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | unxz_with "$kernel" |
        tar -xO --wildcards '*/samples/vfio-mdev/mtty.c' >"$kernel/mtty/mtty.c"
    [[ -s $kernel/mtty/mtty.c ]] || die "kernel $release: its source has no samples/vfio-mdev/mtty.c"
    printf 'obj-m := mtty.o\n' >"$kernel/mtty/Kbuild"
    kernel_tools
    printf '%s\n' "$lines" >"$kernel/root.lock"
    # The packages are large, and the folder replaces them.
    while read -r _ _ _ _ file _; do rm -f "$cache/lab/debs/${file##*/}"; done <<<"$lines"
}

# start_script FILE PROGRAM ARGS...: makes FILE a script that starts a program of the folder `kernel` with the folder's libraries.
start_script() {
    local script=$1
    shift
    printf '#!/bin/sh\nexec "%s/lib64/ld-linux-x86-64.so.2" --argv0 "$0" --library-path "%s/usr/lib/x86_64-linux-gnu" %s "$@"\n' \
        "$kernel" "$kernel" "$*" >"$script"
    chmod 755 "$script"
}

# kernel_tools: makes scripts of the programs that build a module.
kernel_tools() {
    local program tool gcc
    sed -i "s|/usr/src/|$kernel/usr/src/|" "$kernel/usr/src/linux-headers-$release/Makefile"
    while IFS= read -r -d '' program; do
        [[ $(head -c 4 "$program" | tail -c 3) == ELF ]] || continue
        mv "$program" "$program.program"
        start_script "$program" "$program.program"
    done < <(find "$kernel"/usr/lib/linux-kbuild-*/ -type f -perm -u+x -print0)
    mkdir "$kernel/tools"
    for tool in as ld ar nm objcopy objdump readelf strip; do
        start_script "$kernel/tools/x86_64-linux-gnu-$tool" "$(readlink -f "$kernel/usr/bin/x86_64-linux-gnu-$tool")"
        # gcc looks for them by these names.
        cp "$kernel/tools/x86_64-linux-gnu-$tool" "$kernel/tools/$tool"
    done
    for program in "$kernel"/usr/libexec/gcc/x86_64-linux-gnu/*/cc1; do start_script "$kernel/tools/cc1" "$program"; done
    for gcc in "$kernel"/usr/bin/x86_64-linux-gnu-gcc-[0-9]*; do start_script "$kernel/tools/${gcc##*/}" "$gcc" "-B$kernel/tools/"; done
}

# kernel_build_module HEADERS FOLDER [PATH]: builds the module in FOLDER. Programs are looked for in PATH first.
kernel_build_module() {
    if ! PATH=${3:+$3:}$PATH make -C "$1" M="$2" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$2/build.log" 2>&1; then
        grep -E 'error|Error|\*\*\*' "$2/build.log" | head -n 20 | sed 's/^/    /' >&2 || true
        die "the module in $2 does not build against $1: see $2/build.log"
    fi
}

# module_file FOLDER NAME: prints the file of a module below a folder; nothing if there is none. The links to the kernel's source lead
# to what is built there, and not to modules that are installed.
module_file() {
    find -L "$1" -regextype posix-extended \( -name build -o -name source \) -prune -o \
        -type f -regex ".*/${2//[-_]/[-_]}\.ko(\.xz|\.zst|\.gz)?" -print -quit 2>/dev/null
}

# module_put FILE TO: copies a module, uncompressed.
module_put() {
    case $1 in
        *.xz) unxz_with "$kernel" <"$1" >"$2" ;;
        *.zst) zstd -qdc "$1" >"$2" ;;
        *.gz) gzip -dc "$1" >"$2" ;;
        *) cp "$1" "$2" ;;
    esac
}

# modules_collect FROM TO NAME...: copies modules and what they depend on into TO, and adds their names to TO/order, dependencies first.
# What is built into the kernel is left out; one that is missing otherwise is left out where `optional` has its name.
modules_collect() {
    local from=$1 to=$2 name file dependencies
    shift 2
    for name in "$@"; do
        name=${name//-/_}
        [[ ! -f $to/$name.ko ]] || continue
        if tr '-' '_' <"$from/modules.builtin" 2>/dev/null | grep -qE "/$name\.ko\$"; then continue; fi
        file=$(module_file "$from" "$name")
        if [[ -z $file ]]; then
            if [[ " ${optional[*]} " == *" $name "* ]]; then continue; fi
            die "the kernel has no module $name below $from, and it is not built in"
        fi
        module_put "$file" "$to/$name.ko"
        dependencies=$(grep -azoE '^depends=[^[:cntrl:]]*' "$to/$name.ko" | tr -d '\0' | sed 's/^depends=//; s/,/ /g')
        # shellcheck disable=SC2086 # a list of names
        if [[ -n $dependencies ]]; then modules_collect "$from" "$to" $dependencies; fi
        printf '%s\n' "$name" >>"$to/order"
    done
}
