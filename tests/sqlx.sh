#!/usr/bin/env bash
# Refreshes .sqlx/, the committed facts about every query, from a database made of the migrations.
# Usage: tests/sqlx.sh          (needs sqlite3; run it after changing a query or adding a migration)
set -euo pipefail
cd "$(dirname "$0")/.."
db=$(mktemp --suffix=.db)
out=$(mktemp -d)
trap 'rm -rf "$db" "$out"' EXIT
for migration in migrations/*.sql; do sqlite3 "$db" <"$migration"; done
touch src/lib.rs # the macros run only when the crate is compiled
DATABASE_URL="sqlite://$db" SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$out" cargo check --lib --quiet
rm -rf .sqlx
mkdir -p .sqlx
cp "$out"/query-*.json .sqlx/
echo "$(find .sqlx -name 'query-*.json' | wc -l) queries described in .sqlx/"
