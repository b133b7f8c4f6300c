#!/usr/bin/env bash
# Shows what orlop does, with the sample chart, in a temp folder that is gone afterwards: `make demo`.
#
#   docs/demo.sh path/to/orlop
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$(realpath "${1:?usage: docs/demo.sh path/to/orlop}")
peers=${ORLOP_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/orlop-peers}/bin

work=$(mktemp -d "${TMPDIR:-/tmp}/orlop-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir "$work/bin" "$work/home"
ln -s "$program" "$work/bin/orlop"
command -v helm >/dev/null || ln -s "$peers/helm3" "$work/bin/helm"
export PATH=$work/bin:$PATH HOME=$work/home
# Keys, caches and settings of whoever runs this stay out of it.
unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME "${!SOPS_@}" "${!HELM_@}" KUBECONFIG

bold= plain=
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
story() { printf '\n%s# %s%s\n' "$bold" "$1" "$plain"; }
# Shows a command as one would type it, and runs it.
run() {
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@"
}

# The sample's secrets hold the word `canary`; this run's are like nobody else's, so that a find below is a real one.
canary=canary-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
cp -R "$top/testdata/charts/harbour" "$work/harbour"
cd "$work/harbour"
sed -i "s/canary/$canary/" secrets*.yaml
# Plaintext is shown with this run's word masked: a log of the demo must not hold what the demo then looks for.
masked() { sed "s/$canary/canary-****************/g"; }

story 'A chart whose secrets are still plain'
printf '%s$ cat secrets.staging.yaml%s\n' "$bold" "$plain"
masked <secrets.staging.yaml

story 'A key of your own, and a rule which files are sealed for it'
run orlop generate age --output "$work/keys.txt"
export SOPS_AGE_KEY_FILE=$work/keys.txt
recipient=$(sed -n 's/^# public key: //p' "$work/keys.txt")
printf 'creation_rules:\n  - path_regex: secrets.*\\.yaml$\n    age: %s\n' "$recipient" >.sops.yaml
run cat .sops.yaml

story 'Encrypted, they can be committed: names stay readable, values and comments do not'
run orlop encrypt -i secrets.yaml
run orlop encrypt -i secrets.staging.yaml
run cut -c -100 secrets.staging.yaml

story 'Helm reads them from memory'
touch "$work/before-helm"
render=(orlop helm template berths . -f values.staging.yaml -f secrets.yaml -f secrets.staging.yaml)
printf '%s$ %s%s\n' "$bold" "${render[*]}" "$plain"
# Held in a variable, passed on through pipes: this script writes no plaintext either.
rendered=$("${render[@]}")
printf '%s\n' "$rendered" | masked | sed -n '/^kind: Secret/,/^---/p'
count=$(printf '%s\n' "$rendered" | grep -cF "$canary") || {
    echo 'demo: error: the rendered chart does not hold the secrets' >&2
    exit 1
}

story "That was $count lines with a secret. Is one of them on a disk?"
places=("$work")
for place in "${TMPDIR:-/tmp}" /tmp /var/tmp /dev/shm "/run/user/$(id -u)"; do
    if [ -d "$place" ]; then places+=("$place"); fi
done
found=$(
    grep -rlsF -- "$canary" "$work" /dev/shm || true
    find "${places[@]}" -xdev -type f -newer "$work/before-helm" -exec grep -lsF -- "$canary" {} + 2>/dev/null || true
)
if [ -n "$found" ]; then
    printf 'demo: error: plaintext was written:\n' >&2
    printf '%s\n' "$found" | sort -u >&2
    exit 1
fi
written=$(find "$work" -newer "$work/before-helm" -type f -printf '  %P\n')
printf 'Searched %s: not one.\n' "$(printf '%s\n' "${places[@]/#$work/the demo folder}" | sort -u | paste -sd, | sed 's/,/, /g')"
printf 'Files written since in the demo folder:\n%s\n' "${written:-  none}"
