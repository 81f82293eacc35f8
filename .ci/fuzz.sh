#!/bin/sh
# Runs each fuzz test of the module for a while: fuzz.sh 20s
set -eu
cd "$(dirname "$0")/.."
time=${1:-20s}
found=0
bin=$(mktemp -d "${TMPDIR:-/tmp}/cairn-fuzz.XXXXXX")
trap 'rm -rf "$bin"' EXIT
trap 'exit 130' INT TERM
corpus=$(go env GOCACHE)/fuzz # where `go test -fuzz` keeps what it found
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' pkg | xargs -n1 dirname | sort -u); do
	# Linked once for all tests of a package.
	go test -c -fuzz . -o "$bin/test" "./$dir"
	for name in $(grep -h '^func Fuzz' "$dir"/*_test.go | sed 's/^func \([A-Za-z0-9_]*\).*/\1/'); do
		echo "fuzz ./$dir $name for $time"
		(cd "$dir" && "$bin/test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" \
			-test.fuzzcachedir "$corpus/$(go list .)" -test.timeout 10m)
		found=$((found + 1))
	done
done
echo "$found fuzz tests done"
test "$found" -gt 0
