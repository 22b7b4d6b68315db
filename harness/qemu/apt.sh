# shellcheck shell=bash
# A private apt: Debian packages of any suite, resolved and verified as apt does it, unpacked into a
# folder, without root and without touching the system's package database. Sourced, not run.
#
# The machine's own apt configuration is read first and stays in force (proxies, time-outs, credentials);
# only the folders, the sources and the keyring are ours. A Release file that the Debian archive keyring
# does not vouch for is refused, and every package is checked against the SHA-256 that the Release leads to.
#
# A package travels between these functions as one line:
#     NAME VERSION ARCHITECTURE SHA256 FILENAME SIZE

# Says on standard error what is going on.
say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends the script because the environment, not the product, is broken: exit code 2.
die() {
    say "$@"
    exit 2
}

# The folder that everything fetched lives in.
ackmatrix_cache() {
    if [[ -n ${ACKMATRIX_CACHE:-} ]]; then
        printf '%s\n' "$ACKMATRIX_CACHE"
    elif [[ -n ${XDG_CACHE_HOME:-} ]]; then
        printf '%s\n' "$XDG_CACHE_HOME/ackmatrix"
    elif [[ -n ${HOME:-} ]]; then
        printf '%s\n' "$HOME/.cache/ackmatrix"
    else
        die "no folder for downloads: none of ACKMATRIX_CACHE, XDG_CACHE_HOME and HOME is set"
    fi
}

# no_room FOLDER [NEEDED]: the words for a file system without room, with the bytes that are needed where they are known.
no_room() {
    printf 'no space left on the file system of %s%s, %d MB are left; make room, or set ACKMATRIX_CACHE to a folder elsewhere' \
        "$1" "${2:+: needs $(megabytes "$2") MB}" "$(megabytes "$(bytes_left "$1")")"
}
bytes_left() {
    df --output=avail -B1 -- "$1" | tail -n 1
}
megabytes() {
    printf '%d' "$(( ($1 + 999999) / 1000000 ))"
}

# needs_room FOLDER BYTES WHAT: ends the script unless the file system of FOLDER has so many bytes left.
needs_room() {
    (( $(bytes_left "$1") >= $2 )) || die "$3: $(no_room "$1" "$2")"
}

# full_disk LOG FOLDER: says so if the log of a program that failed tells of a full disk.
full_disk() {
    grep -qE 'No space left on device|not enough free space|Disk quota exceeded' "$1" || return 1
    say "$(no_room "$2")"
}

# cache_open CACHE: makes the cache folder and takes its lock until the script ends: one process at a time
# fetches, the next one waits and then finds the work done. Sets `cache` to the folder's full path.
cache_open() {
    mkdir -p "$1" 2>/dev/null || true
    [[ -w $1 ]] || die "cannot write to $1: set ACKMATRIX_CACHE to a folder that you may write to"
    cache=$(readlink -f "$1")
    exec {cache_lock}>"$cache/lock"
    if ! flock --nonblock "$cache_lock"; then
        say "waiting for another fetch into $cache to end"
        flock "$cache_lock"
    fi
}

# apt_private DIR: from here on the functions below keep sources, indices and state in DIR.
# One process at a time may use a DIR: hold the lock of cache_open.
apt_private() {
    local keyring
    apt_dir=$1
    command -v apt-get >/dev/null || die "apt-get not found: packages are fetched with apt; use a Debian or Ubuntu machine or container"
    [[ $(uname -m) == x86_64 ]] || die "the packages are for x86_64, this machine is $(uname -m)"

    apt_keyring=
    for keyring in "${ACKMATRIX_DEBIAN_KEYRING:-}" /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -n $keyring && -r $keyring ]]; then
            apt_keyring=$keyring
            break
        fi
    done
    [[ -n $apt_keyring ]] ||
        die "no Debian archive keyring in /usr/share/keyrings: install the package debian-archive-keyring, or name a keyring in ACKMATRIX_DEBIAN_KEYRING"

    mkdir -p "$apt_dir"/{lists,archives}/partial || die "cannot write to $apt_dir: set ACKMATRIX_CACHE to a folder that you may write to"
    : >"$apt_dir/status"
    # The machine's hooks (cleaning its cache, telling its desktop) are not for us; as root, apt would
    # change to a user that cannot enter root's home.
    cat >"$apt_dir/apt.conf" <<END
#clear APT::Update;
#clear DPkg;
Dir::Etc::sourcelist "$apt_dir/update.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$apt_dir";
Dir::State::lists "$apt_dir/lists";
Dir::State::status "$apt_dir/status";
Dir::Cache "$apt_dir";
Dir::Cache::archives "$apt_dir/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$apt_dir";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
APT::Get::List-Cleanup "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
END
}

# The archive to fetch from: ACKMATRIX_DEBIAN_MIRROR, else the first one this machine's apt uses for Debian.
apt_mirror() {
    local uri release
    if [[ -n ${ACKMATRIX_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "${ACKMATRIX_DEBIAN_MIRROR%/}"
        return
    fi
    # shellcheck disable=SC2016 # apt, not the shell, fills in the format
    while read -r uri release; do
        case $release in
            *-security* | */*) ;;
            buster* | bullseye* | bookworm* | trixie* | forky* | duke* | sid | stable* | oldstable* | testing* | unstable)
                printf '%s\n' "${uri%/}"
                return
                ;;
        esac
    done < <(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null)
    die "this machine's apt has no Debian archive configured: set ACKMATRIX_DEBIAN_MIRROR to the address of one"
}

# apt_stanza SUITE: how apt is told of a suite.
apt_stanza() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$apt_archive" "$1" "$apt_keyring"
}

# Bytes that the lists of the suites and the work of apt on them may take; measured: 60 MB of lists for three suites.
apt_lists_size=100000000

# apt_update SUITE...: fetches the suites' indices and verifies who signed them. What comes from backports
# depends on the suite it was backported to, so that one is fetched as well.
# Returns 1, having said why, when the archive cannot be reached or is not to be trusted.
apt_update() {
    local suite base log
    apt_archive=$(apt_mirror) || exit 2
    log=$apt_dir/update.log
    needs_room "$apt_dir" "$apt_lists_size" "the package lists"
    say "reading the package lists of $* from $apt_archive"
    : >"$apt_dir/update.sources"
    for suite in "$@"; do
        base=${suite%%-*}
        { if [[ $base != "$suite" ]]; then apt_stanza "$base"; fi; apt_stanza "$suite"; } >"$apt_dir/$suite.sources"
        grep -q "^Suites: $base\$" "$apt_dir/update.sources" || apt_stanza "$base" >>"$apt_dir/update.sources"
        [[ $base == "$suite" ]] || apt_stanza "$suite" >>"$apt_dir/update.sources"
    done
    if apt-get -c "$apt_dir/apt.conf" -q update >"$log" 2>&1; then
        return 0
    fi
    grep -E '^(E|W|Err)[:0-9]' "$log" | sed 's/^/    /' >&2 || true
    if full_disk "$log" "$apt_dir"; then
        :
    elif grep -qE 'NO_PUBKEY|EXPKEYSIG|Missing key|is not signed' "$log"; then
        say "the keyring $apt_keyring does not vouch for all of: $*. Newer keys come with a newer package debian-archive-keyring; nothing unverified is used"
    else
        say "could not read the package lists of $* from $apt_archive: check the network and the suite names, or name another archive in ACKMATRIX_DEBIAN_MIRROR"
    fi
    return 1
}

# apt_closure SUITE PACKAGE...: prints the package lines of what must be there for PACKAGE to work on a
# machine that has nothing, recommendations left out. Needs apt_update before.
apt_closure() {
    local suite=$1 log=$apt_dir/closure.log
    local -a apt_options=(-c "$apt_dir/apt.conf" -o "Dir::Etc::sourcelist=$apt_dir/$1.sources" -o "APT::Default-Release=$1") wanted
    shift
    if ! apt-get "${apt_options[@]}" -o Debug::NoLocking=true -qq -y --no-install-recommends --simulate install "$@" >"$log" 2>&1; then
        sed 's/^/    /' "$log" >&2
        say "apt found no way to install $* from $suite"
        return 1
    fi
    mapfile -t wanted < <(sed -nE 's/^Inst ([^ ]+) \(([^ ]+) .*/\1=\2/p' "$log")
    apt-cache "${apt_options[@]}" show "${wanted[@]}" | awk '
        /^Package: / { name = $2 } /^Version: / { version = $2 } /^Architecture: / { architecture = $2 }
        /^SHA256: / { hash = $2 } /^Filename: / { file = $2 } /^Size: / { size = $2 }
        /^$/ && name != "" { print name, version, architecture, hash, file, size; name = "" }
        END { if (name != "") print name, version, architecture, hash, file, size }' | LC_ALL=C sort -u >"$apt_dir/closure"
    if (( $(wc -l <"$apt_dir/closure") != ${#wanted[@]} )); then
        say "apt chose ${#wanted[@]} packages of $suite but describes $(wc -l <"$apt_dir/closure") of them: see $log"
        return 1
    fi
    cat "$apt_dir/closure"
}

# apt_download DEBS LABEL [offline] <LINES: brings the packages into the folder DEBS. A file that does not
# have the hash of its line is never kept; one that was there already is fetched anew.
apt_download() {
    local debs=$1 label=$2 mode=${3:-} staging name version architecture hash file size deb bytes=0 total=0
    local -a missing=() checks=()
    mkdir -p "$debs"
    while read -r name version architecture hash file size; do
        [[ $hash =~ ^[0-9a-f]{64}$ && $file == */*.deb && $file != /* && $file != *..* ]] ||
            die "not a package line: '$name $version $architecture $hash $file $size'; expected NAME VERSION ARCHITECTURE SHA256 FILENAME SIZE"
        total=$((total + 1))
        deb=$debs/${file##*/}
        if [[ -f $deb ]] && sha256sum --check --status <<<"$hash  $deb"; then
            continue
        fi
        missing+=("$hash $file")
        bytes=$((bytes + size))
    done
    if (( ${#missing[@]} == 0 )); then
        say "$label: all $total packages are in $debs"
        return
    fi
    [[ $mode != offline ]] ||
        die "$label: ${#missing[@]} of $total packages are not in $debs with the hash that the lock gives, first: ${missing[0]#* }. Run without --offline"

    apt_archive=$(apt_mirror) || exit 2
    # They are unpacked next, to at most five times their size.
    needs_room "$debs" $((bytes * 6)) "$label"
    say "$label: downloading ${#missing[@]} of $total packages, $(megabytes "$bytes") MB, into $debs"
    staging=$(mktemp -d "$debs/.new.XXXXXX")
    local -a transfers=()
    for line in "${missing[@]}"; do
        hash=${line%% *} file=${line#* }
        transfers+=("$apt_archive/${file//+/%2b}" "$staging/${file##*/}" "SHA256:$hash")
    done
    if ! /usr/lib/apt/apt-helper -c "$apt_dir/apt.conf" -q download-file "${transfers[@]}" >"$apt_dir/download.log" 2>&1; then
        grep -E '^(E|W|Err)[:0-9]' "$apt_dir/download.log" | sort -u | sed 's/^/    /' >&2 || true
        full_disk "$apt_dir/download.log" "$debs" && { rm -rf "$staging"; exit 2; }
        rm -rf "$staging"
        if grep -qi 'hash sum mismatch' "$apt_dir/download.log"; then
            die "$label: a package from $apt_archive does not have the expected SHA-256 hash; refused"
        fi
        die "$label: download from $apt_archive failed. If the archive has moved on to newer versions than a lock pins: fetch without --lock, or let ACKMATRIX_DEBIAN_MIRROR point to a snapshot of that time"
    fi
    for line in "${missing[@]}"; do
        checks+=("${line%% *}  $staging/${line##*/}")
    done
    printf '%s\n' "${checks[@]}" | sha256sum --check --quiet >&2 || { rm -rf "$staging"; die "$label: a downloaded package does not have the expected SHA-256 hash; refused"; }
    mv "$staging"/*.deb "$debs/"
    rmdir "$staging"
}

# apt_unpack DEBS ROOT <LINES: unpacks the packages into the folder ROOT, which becomes a file tree that can be
# moved: /lib is /usr/lib as on an installed system, and no symbolic link is absolute. Texts are left out.
apt_unpack() {
    local debs=$1 root=$2 directory link target name version architecture hash file size lines bytes
    lines=$(cat)
    bytes=$(awk '{ bytes += $6 } END { printf "%d", bytes * 5 }' <<<"$lines")
    needs_room "$root" "$bytes" "unpacking"
    for directory in bin lib lib64 sbin; do
        mkdir -p "$root/usr/$directory"
        ln -s "usr/$directory" "$root/$directory"
    done
    while read -r name version architecture hash file size; do
        dpkg-deb --fsys-tarfile "$debs/${file##*/}" |
            tar -x -C "$root" --no-same-owner --keep-directory-symlink --warning=no-timestamp \
                --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/info' ||
            die "cannot unpack $debs/${file##*/} into $root"
    done <<<"$lines"
    while IFS= read -r -d '' link; do
        target=$(readlink "$link")
        if [[ -e $root$target || -L $root$target ]]; then
            ln -sfnr "$root$target" "$link"
        fi
    done < <(find "$root" -type l -lname '/*' -print0)
}
