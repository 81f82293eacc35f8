#!/usr/bin/env bash
# make.sh TOOL OUT [INIT FLAGS]: writes the repository that readers of later releases must read.
set -euo pipefail
tool=$1 out=$2; shift 2
root=$(mktemp -d); cd "$root"
export DVC_NO_ANALYTICS=1 HOME=$root/home GIT_CONFIG_NOSYSTEM=1 DVC_SITE_CACHE_DIR=$root/site DVC_GLOBAL_CONFIG_DIR=$root/home DVC_SYSTEM_CONFIG_DIR=$root/home
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org
export GIT_AUTHOR_DATE=2026-01-02T03:04:05Z GIT_COMMITTER_DATE=2026-01-02T03:04:05Z TMPDIR=$root/tmp
mkdir home tmp repo; cd repo
git init -q -b main
"$tool" init -q "$@"
mkdir -p "data/sub dir/deep"
printf 'one\r\ntwo\r\n' > data/crlf.txt
printf 'plain\n' > data/a.txt
: > data/empty
head -c 3000 /dev/zero | tr '\0' 'x' > "data/sub dir/b"
printf '\000\001binary\r\n' > "data/sub dir/deep/é.bin"
printf 'model 1\r\n' > model.txt
printf '#!/bin/sh\necho hello\n' > run.sh; chmod 755 run.sh
"$tool" add -q data model.txt run.sh
printf 'lr: 0.5\nn: 3\nlist: [a, b]\n' > params.yaml
cat > dvc.yaml <<'EOF'
stages:
  prep:
    cmd: mkdir -p prep && sort data/a.txt > prep/sorted && echo ${n} > prep/n
    deps:
    - data/a.txt
    params:
    - n
    outs:
    - prep
  train:
    foreach: ${list}
    do:
      cmd: cat prep/sorted > out-${item} && echo '{"acc":0.5}' > m-${item}.json
      deps:
      - prep
      params:
      - lr
      outs:
      - out-${item}
      metrics:
      - m-${item}.json:
          cache: false
EOF
"$tool" repro -q
mkdir "$root/store"
"$tool" remote add -q -d store ../store
git add -A; git commit -qm first
"$tool" push -q --run-cache
printf 'more\n' >> data/a.txt; rm data/empty; printf 'new\n' > data/new
printf 'model 2\n' > model.txt
sed -i 's/lr: 0.5/lr: 0.25/' params.yaml
"$tool" add -q data model.txt
"$tool" repro -q
git add -A; git commit -qm second; git tag v2
"$tool" push -q --run-cache
rm -rf .dvc/tmp .dvc/cache .git/hooks .git/logs .git/COMMIT_EDITMSG .git/info .git/description
find . -name index -path '*.git*' -delete
cd "$root"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-02T03:04:05Z -C "$root" -czf "$out" repo/.git store
chmod -R u+w "$root"; rm -rf "$root"
