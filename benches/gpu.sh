#!/usr/bin/env bash
# What Convscope computes and how fast, on a machine with one NVIDIA card: one JSON file and one table, in under eight minutes.
#
#     benches/gpu.sh --binary FILE [--data DIR] [--out FILE] [--device cpu|cuda] [--parts P,P] [--quick]
#
# FILE is the program built with `--features cuda`, here or elsewhere; FILE.xz and FILE.gz are unpacked. Neither Rust nor a network
# is needed: bash, python3 and the driver are, and CUDA 13's libraries, which LD_LIBRARY_PATH names or PyTorch's wheels bring.
# A part that fails is recorded with its error, and the others run. The exit code is 0 unless nothing of Convscope's worked.
# `--device cpu --quick` is the dry run.
set -u

all=selftest,classify,eval,forward,train,pytorch,serve
# Seconds for everything: what is left of it is the most that a part gets.
limit=430

refuse() {
    printf 'gpu.sh: %s\n' "$1" >&2
    exit 2
}

binary=${BINARY:-} data='' out=gpu.json device=cuda parts=$all quick=''
while (($#)); do
    case $1 in
        --quick) quick=yes && shift && continue ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 0 ;;
        --binary | --data | --out | --device | --parts) (($# > 1)) || refuse "$1 needs a value" ;;
        *) refuse "there is no option $1: --binary, --data, --out, --device, --parts and --quick are" ;;
    esac
    printf -v "${1#--}" %s "$2"
    shift 2
done
[[ $device == cpu || $device == cuda ]] || refuse "--device is cpu or cuda, not $device"
for name in ${parts//,/ }; do
    [[ ,$all, == *,$name,* ]] || refuse "there is no part $name: $all are"
done
[[ -n $binary ]] || refuse 'say which program with --binary FILE or BINARY=FILE; cargo build --release --features cuda makes one'
[[ -f $binary ]] || refuse "$binary is not there"
command -v python3 >/dev/null || refuse 'python3 is missing: it writes the report'

benches=$(cd "$(dirname "$0")" && pwd) || exit 2
root=$(dirname "$benches")
few=$root/tests/data/cifar-10-batches-bin
[[ -n $data ]] || data=$few
binary=$(realpath "$binary") data=$(realpath -m "$data") out=$(realpath -m "$out")
: >>"$out" || refuse "$out cannot be written: choose another --out"

work=$(mktemp -d) || exit 2
running=''
finish() {
    # timeout hands the signal on to what it started.
    [[ -z $running ]] || kill "$running" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

case $binary in
    *.xz | *.gz)
        [[ $binary == *.gz ]] && unpack=(gzip -dc) || unpack=(xz -dc)
        command -v "${unpack[0]}" >/dev/null ||
            unpack=(python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)')
        "${unpack[@]}" "$binary" >"$work/convscope" || refuse "$binary cannot be unpacked"
        binary=$work/convscope
        ;;
esac
if [[ ! -x $binary ]]; then
    install -m 700 "$binary" "$work/program" || refuse "$binary cannot be made executable"
    binary=$work/program
fi

# What is configured here is not what is measured, and nothing is to be written here: an empty folder has the built-in defaults.
for name in "${!CONVSCOPE_@}"; do
    unset "$name"
done
export PYTHONDONTWRITEBYTECODE=1
mkdir "$work/empty" && cd "$work/empty" || exit 2

libraries=${LD_LIBRARY_PATH:-}
if [[ $device == cuda ]]; then
    found=$(python3 "$benches/gpu_libraries.py") || found=''
    libraries=$libraries${libraries:+${found:+:}}$found
fi
# Only for our program: PyTorch finds its own.
ours=("$binary")
[[ -z $libraries ]] || ours=(env "LD_LIBRARY_PATH=$libraries" "$binary")

# part NAME SECONDS COMMAND...: leaves NAME.out, NAME.err, NAME.code and NAME.seconds in $work.
part() {
    local name=$1 budget=$2 begin=$SECONDS code
    shift 2
    [[ ,$parts, == *,$name,* ]] || return 0
    ((budget <= limit - SECONDS)) || budget=$((limit - SECONDS))
    : >"$work/$name.out"
    if ((budget < 1)); then
        code=124
    else
        printf 'gpu.sh: %s ...\n' "$name" >&2
        # In the background, so that a signal ends the wait.
        timeout -k 5 "$budget" "$@" >"$work/$name.out" 2>"$work/$name.err" &
        running=$!
        wait "$running"
        code=$?
        running=''
    fi
    ((code != 124 && code != 137)) || printf 'stopped: the %s s for this part were over\n' "$((budget > 0 ? budget : 0))" >>"$work/$name.err"
    printf '%s' "$code" >"$work/$name.code"
    printf '%s' "$((SECONDS - begin))" >"$work/$name.seconds"
}

batches=1,32,128,512 seconds=3
[[ -z $quick ]] || batches=4 seconds=0.5
horse=$root/tests/data/horse.png model=$root/models/tutorial.safetensors

part selftest 80 "${ours[@]}" selftest --device "$device" --json
part classify 30 "${ours[@]}" classify "$horse" --device "$device" --json
part eval 50 "${ours[@]}" eval --model tutorial --data "$data" --device "$device" --json
part forward 50 "${ours[@]}" bench --model tutorial --batch "$batches" --device "$device" --json
part train 60 "${ours[@]}" bench --model tutorial --batch "$batches" --train --device "$device" --json
part pytorch 120 python3 "$benches/gpu_torch.py" "$model" "$few" "$device" "$batches" "$seconds"
part serve 45 python3 "$benches/gpu_serve.py" "$horse" "$seconds" "${ours[@]}" --device "$device" serve --listen 127.0.0.1:0

version=$(timeout -k 5 20 "${ours[@]}" --version 2>/dev/null) || version=''
python3 "$benches/gpu_report.py" --work "$work" --out "$out" --parts "$parts" --device "$device" \
    --version "$version" --libraries "$libraries" --seconds "$SECONDS"
