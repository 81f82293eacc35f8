#!/bin/sh
# The main job on real input, from an empty folder to data that came back byte
# for byte. Needs git only: demo.sh path/to/cairn
set -eu
cairn=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

work=$(mktemp -d "${TMPDIR:-/tmp}/cairn-demo.XXXXXX")
# Objects in a cache are read-only, and so may be their links.
trap 'chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Nothing of this touches your home or your configuration.
export HOME="$work/home" XDG_CONFIG_HOME="$work/home/.config" XDG_CACHE_HOME="$work/home/.cache"
export DVC_SITE_CACHE_DIR="$work/home/site" DVC_NO_ANALYTICS=1
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com
export GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com
mkdir -p "$HOME"

step() { printf '\n== %s\n' "$*"; }
run() {
	printf '$ %s\n' "$*"
	"$@"
}
same() { git diff --no-index --quiet -- "$1" "$2"; } # cmp and diff need not be there
cairn() { "$cairn" "$@"; }
fail() {
	printf 'demo failed: %s\n' "$*" >&2
	exit 1
}

step "A project: a file of 64 MiB and a folder of 2,000 files"
mkdir "$work/project" "$work/remote"
cd "$work/project"
mkdir images
dd if=/dev/urandom of=model.bin bs=1048576 count=64 2>/dev/null
i=0
while [ $i -lt 2000 ]; do
	printf 'image %s of a set\n' $i >"images/$i.txt"
	i=$((i + 1))
done
cp model.bin "$work/model.orig"
cp -R images "$work/images.orig"
run git init -q
run cairn --version

step "Put it under version control: the data into the cache, pointer files into Git"
run cairn init
run cairn add model.bin images
run cat images.dvc
run git add -A
run git commit -q -m 'Data, first version'
test -z "$(git status --porcelain)" || fail "git sees changes after the commit"
run cairn status

step "Push it to a remote, here a folder"
run cairn remote add -d store "$work/remote"
run git commit -q -am 'A remote'
run cairn push

step "Lose everything but Git"
run rm -rf model.bin images .dvc/cache
run cairn status

step "Pull it back, and compare every byte"
run cairn pull
same model.bin "$work/model.orig" || fail "model.bin differs"
same images "$work/images.orig" || fail "images differ"
echo "model.bin and the 2,000 files of images are what they were"

step "Change one file of 2,000: only that is read and pushed again"
echo changed >images/7.txt
run cairn status
run cairn add images
run cairn push
run git commit -q -am 'Data, second version'

step "Back to the first version, and forward again"
run git checkout -q HEAD~1
run cairn checkout
same images "$work/images.orig" || fail "the first version differs"
run git checkout -q -
run cairn checkout
test "$(cat images/7.txt)" = changed || fail "the second version differs"
run cairn status

step "A pipeline over the data: two stages, run only where their inputs changed"
cat >dvc.yaml <<'EOF'
stages:
  count:
    cmd: ls images | wc -l > count.txt
    deps: [images]
    outs: [count.txt]
  report:
    cmd: echo "$(cat count.txt) images" > report.txt
    deps: [count.txt]
    outs: [report.txt]
EOF
run cat dvc.yaml
run cairn repro
run cairn repro
rm images/8.txt
run cairn repro
test "$(tr -d ' ' <report.txt)" = 1999images || fail "the report is not of the data as they are"
run cairn status

step "Done: all is as it should be"
