#!/bin/sh
# Puts a real English text into DIR (default: corpora/) and prints its path. Needs no root and
# installs nothing.
#
#   data/fetch_demo_corpus.sh [DIR]
#
# First choice: the Debian Reference (GPL-2+), from an installed debian-reference-en or from its
# .deb, downloaded and unpacked. Without apt or network: the reference texts of Python's own help
# (PSF licence), which CPython carries. Does nothing where the text is there already.
set -eu

say() { echo "fetch_demo_corpus: $*" >&2; }

directory=${1:-corpora}
debian_text="$directory/debian-reference-en.txt"
python_text="$directory/python-reference-en.txt"
inside=usr/share/debian-reference/debian-reference.en.txt.gz

# apt's download user cannot enter every folder; root stays root, as apt would do after a warning.
as_root=
if [ "$(id -u)" = 0 ]; then as_root='-o APT::Sandbox::User=root'; fi

# shellcheck disable=SC2086  # no word where it is empty
download() { apt-get -q $as_root download debian-reference-en >&2; }

for text in "$debian_text" "$python_text"; do
  if [ -s "$text" ]; then
    say "$text is there already"
    echo "$text"
    exit 0
  fi
done

mkdir -p "$directory"
work=$(mktemp -d "$directory/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"

if [ -f "/$inside" ]; then
  say "taking the Debian Reference (GPL-2+) from the installed package"
  gzip -dc "/$inside" > "$work/text"
  mv "$work/text" "$debian_text"
  echo "$debian_text"
elif (cd "$work" && download && dpkg-deb -x debian-reference-en_*.deb .); then
  say "took the Debian Reference (GPL-2+) from its Debian package, without installing it"
  gzip -dc "$work/$inside" > "$work/text"
  mv "$work/text" "$debian_text"
  echo "$debian_text"
else
  say "no Debian package to be had; taking the reference texts of Python's help (PSF licence)"
  "${PYTHON:-python3}" -c '
import sys
from pydoc_data.topics import topics
sys.stdout.reconfigure(encoding="utf-8")
print("\n\n".join(topics[name].strip() for name in sorted(topics)))' > "$work/text"
  mv "$work/text" "$python_text"
  echo "$python_text"
fi
