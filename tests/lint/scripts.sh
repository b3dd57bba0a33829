#!/bin/bash
# Shell scripts pass shellcheck, Python compiles, and no C file is left half done.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t shell < <(find .ci conf tests bench -type f \( -name '*.sh' -o -path '.ci/run' \) 2>/dev/null | sort)
shellcheck -x "${shell[@]}"
mapfile -t python < <(find conf tests bench migrations -type f -name '*.py' 2>/dev/null | sort)
for file in "${python[@]}"; do
	/usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file"
done
if grep -rnE 'TODO|FIXME|XXX' --include='*.[ch]' proxy include; then
	echo "the lines above are left half done" >&2
	exit 1
fi
echo "scripts: ${#shell[@]} shell, ${#python[@]} Python"
