#!/bin/sh
# Runs each fuzz test of the module for a while: fuzz.sh 20s
set -eu
cd "$(dirname "$0")/.."
time=${1:-20s}
found=0
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' pkg | xargs -n1 dirname | sort -u); do
	for name in $(grep -h '^func Fuzz' "$dir"/*_test.go | sed 's/^func \([A-Za-z0-9_]*\).*/\1/'); do
		echo "fuzz ./$dir $name for $time"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$dir"
		found=$((found + 1))
	done
done
echo "$found fuzz tests done"
test "$found" -gt 0
