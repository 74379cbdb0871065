#!/bin/sh
# Puts the texts of the study into DIR/study (default: corpora/study) and prints their paths: a
# chapter's beginning of the Debian Reference (GPL-2+) in English, German, Spanish, French, Japanese
# and Chinese, and a module of Python's standard library (PSF licence). Needs no root and installs
# nothing.
#
#   data/fetch_study_corpus.sh [DIR]
#
# Each text has BYTES bytes at most (default 16384, whole lines). Tables are left out, whose rules and
# bars are the same in every language. Texts that are there already are kept.
set -eu

say() { echo "fetch_study_corpus: $*" >&2; }

directory=${1:-corpora}/study
bytes=${BYTES:-16384}
languages="en de es fr ja zh-cn"

# apt's download user cannot enter every folder; root stays root, as apt would do after a warning.
as_root=
if [ "$(id -u)" = 0 ]; then as_root='-o APT::Sandbox::User=root'; fi

mkdir -p "$directory"
work=$(mktemp -d "$directory/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"

# Whole lines up to the limit, the same in every locale.
head_of_text() { LC_ALL=C awk -v limit="$bytes" '(size += length($0) + 1) > limit { exit } 1'; }

# From the first section of chapter 2 on: behind the table of contents, where sections are indented.
chapter() { LC_ALL=C sed -n '/^2\.1\.1\./,$p' | LC_ALL=C grep -v '^ *[|+]' | head_of_text; }

for language in $languages; do
  text="$directory/$language.txt"
  if [ ! -s "$text" ]; then
    inside=usr/share/debian-reference/debian-reference.$language.txt.gz
    root=/
    if [ ! -f "/$inside" ]; then
      # shellcheck disable=SC2086  # no word where it is empty
      (cd "$work" && apt-get -q $as_root download "debian-reference-$language" >&2 \
        && dpkg-deb -x "debian-reference-${language}_"*.deb .) \
        || { say "no package debian-reference-$language to be had"; exit 1; }
      root=$work/
    fi
    gzip -dc "$root$inside" | chapter > "$work/text"
    [ -s "$work/text" ] || { say "$inside has no section 2.1.1"; exit 1; }
    mv "$work/text" "$text"
  fi
  echo "$text"
done

code="$directory/python.txt"
if [ ! -s "$code" ]; then
  "${PYTHON:-python3}" -c '
import inspect, sys, textwrap
sys.stdout.reconfigure(encoding="utf-8")
print(inspect.getsource(textwrap))' > "$work/code"
  head_of_text < "$work/code" > "$work/text"
  mv "$work/text" "$code"
fi
echo "$code"
