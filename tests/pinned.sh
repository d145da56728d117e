# Sourced by the scripts that install pinned programs from package registries. They set `folder`, where the programs go, and `lists`, the
# folder of the lists of what is pinned.

has() { type -P "$1" >/dev/null; }
refuse() {
    echo "$0: $*" >&2
    exit 1
}

# The Python that can make environments; one of the user's own may be earlier on the PATH and lack what that takes.
python() {
    local program
    for program in /usr/bin/python3 "$(type -P python3)"; do
        if [[ -x $program ]] && "$program" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$program"
            return
        fi
    done
    return 1
}

# once NAME LIST COMMAND...: runs the command in a new folder NAME, unless that was done with this list (a file, or a folder of them) before.
once() {
    local name=$1 list=$2 stamp
    shift 2
    stamp=$(find "$lists/$list" -type f -exec cat {} + | cksum)
    if [[ -f $folder/$name/installed && $(<"$folder/$name/installed") == "$stamp" ]]; then return; fi
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder/$name"
    (cd "$folder/$name" && "$@" >install.log 2>&1) || {
        tail -n 20 "$folder/$name/install.log" >&2
        refuse "$name could not be installed"
    }
    echo "$stamp" >"$folder/$name/installed"
}

# from_pypi REQUIREMENTS: makes an environment with them in the current folder.
from_pypi() {
    "$(python)" -m venv environment
    environment/bin/pip install --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --requirement "$lists/$1"
}
