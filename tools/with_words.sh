#!/usr/bin/env bash
# Runs a command with more words at its end, those of a text:
#   tools/with_words.sh NAME 'TEXT' COMMAND [WORD ...]
# Blanks divide words, quotes and backslashes keep them together as in a shell; nothing is expanded and nothing is run:
# $, *, ; and ` are characters like any other. NAME is what a mistake in TEXT is reported under.
set -euo pipefail

name=$1
text=$2
shift 2

words=()
if [ -n "${text//[[:blank:]]/}" ]; then
  # xargs reads quotes; a mark at the end keeps the empty words before it.
  lines=$(printf '%s' "$text" | xargs printf '%s\n' 2> /dev/null && echo end) || {
    echo "error: $name: expected every quote to be closed, found one that is not in: $text" >&2
    exit 1
  }
  while IFS= read -r word; do words+=("$word"); done <<< "${lines%$'\n'end}"
fi
# bash before 4.4 takes an empty array for an unset variable.
exec "$@" ${words[@]+"${words[@]}"}
