# What a host with a POSIX shell does for the platform: sh runner.sh VERB NONCE FOLDER FENCE [...]
# Lines that begin with NONCE are answers; all others are a command's own.
set -u
verb=$1 nonce=$2 folder=$3 fence=$4
shift 4
own=$folder/.strandline

# When a process began, to tell it from a later one with its number.
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# End what was started in this folder and still runs, with all that it started. Its mark is FENCE-NUMBER; the number is its group's.
# $1: only what was started under this fence, or nothing for all.
stop_left() {
    for mark in "$own/running/$1"*; do
        [ -f "$mark" ] || continue
        pid=${mark##*-}
        now=$(began "$pid")
        if [ -z "$now" ] || [ "$now" = "$(cat "$mark")" ]; then
            kill -s TERM -- "-$pid" 2>/dev/null
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                kill -s 0 -- "-$pid" 2>/dev/null || break
                sleep 0.1
            done
            kill -s KILL -- "-$pid" 2>/dev/null
        fi
        rm -f "$mark"
    done
}

case $verb in
begin)
    mkdir -p "$own/running" || exit 1
    if [ "$(cat "$own/fence" 2>/dev/null || echo 0)" -gt "$fence" ]; then
        echo "$nonce refused fence"
        exit 0
    fi
    echo "$fence" >"$own/fence.new" && mv "$own/fence.new" "$own/fence" || exit 1
    stop_left ''
    echo "$nonce done"
    ;;
run)
    # First the mark, then the look at the fence: whoever raises the fence looks for marks afterwards, so one of both sees the other.
    mark=$own/running/$fence-$$
    began $$ >"$mark" || exit 1
    if [ "$(cat "$own/fence")" != "$fence" ]; then
        rm -f "$mark"
        echo "$nonce refused fence"
        exit 0
    fi
    cd "$folder" || exit 1
    if ! command -v "$1" >/dev/null; then
        rm -f "$mark"
        echo "$nonce refused program"
        exit 0
    fi
    exec "$@" 2>&1 </dev/null
    ;;
stop)
    stop_left "$fence-"
    echo "$nonce done"
    ;;
list)
    cd "$folder" || exit 1
    for name in "$@"; do
        [ -e "$name" ] || continue
        find "./$name" -type f | while IFS= read -r path; do
            echo "$nonce file $(sha256sum <"$path" | cut -d' ' -f1) $(wc -c <"$path") ${path#./}"
        done
    done
    echo "$nonce done"
    ;;
remove)
    # Only a folder that was begun here.
    [ -f "$own/fence" ] || { echo "$nonce done"; exit 0; }
    if [ "$(cat "$own/fence")" != "$fence" ]; then
        echo "$nonce refused fence"
        exit 0
    fi
    stop_left ''
    rm -rf -- "$folder" && echo "$nonce done"
    ;;
esac
