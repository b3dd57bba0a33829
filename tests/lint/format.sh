#!/bin/bash
# clang-format changes nothing. Its output differs from version to version: ours is 14 (Debian 12, Ubuntu 22.04).
set -euo pipefail
cd "$(dirname "$0")/../.."
formatter=$(command -v clang-format-14 || command -v clang-format || true)
version=$("${formatter:-false}" --version 2>/dev/null | grep -oE 'version [0-9]+' | cut -d' ' -f2 || true)
if [ "$version" != 14 ]; then
	echo "SKIPPED: clang-format is ${version:-missing}, the project is formatted with 14"
	exit 77
fi
wrong=0
while IFS= read -r -d '' file; do
	if ! "$formatter" --dry-run -Werror "$file" 2>/dev/null; then
		echo "$file: not as clang-format 14 writes it (clang-format -i $file)"
		wrong=1
	fi
done < <(find proxy include tests/unit tests/fuzz bench -name '*.[ch]' -print0 2>/dev/null | sort -z)
exit $wrong
