#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Transactions of many inserts and updates, one in four rolled back. The journal stays
# where it is: a file that is gone could not be opened again.
set -e
rm -f "$1/db" "$1/db-journal"
{
	echo "PRAGMA journal_mode = PERSIST; PRAGMA cache_size = 20; PRAGMA synchronous = FULL;"
	echo "CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT, n INTEGER); CREATE INDEX i ON t (word);"
	for n in {1..40}; do
		echo "BEGIN;"
		for m in {1..60}; do
			echo "INSERT INTO t (word, n) VALUES (hex($n * 7919 + $m * 104729), $n);"
			echo "UPDATE t SET n = n + $m WHERE id % 61 = $m;"
		done
		if [ $((n % 4)) = 0 ]; then echo "ROLLBACK;"; else echo "COMMIT;"; fi
	done
	echo "PRAGMA integrity_check; SELECT count(*), sum(n) FROM t; SELECT * FROM t ORDER BY word, id;"
} >"$1/commands"
exec sqlite3 -batch -bail "$1/db" <"$1/commands" >"$1/result"
