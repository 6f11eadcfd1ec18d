"""Prints what a gateway's store holds of one credential, read from a copy: generation, and whether a grant is marked.

store_row.py STORE NAME
"""

import json
import os
import shutil
import sqlite3
import sys
import tempfile

store, name = sys.argv[1:]
with tempfile.TemporaryDirectory() as directory:
    copy = os.path.join(directory, "copy.db")
    for suffix in ("", "-wal"):
        if os.path.exists(store + suffix):
            shutil.copy(store + suffix, copy + suffix)
    rows = []
    if os.path.exists(copy):
        database = sqlite3.connect(copy)
        if database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'credential'").fetchone():
            query = "SELECT generation, mark_owner IS NOT NULL FROM credential WHERE name = ?"
            rows = database.execute(query, [name]).fetchall()
        database.close()
generation, marked = rows[0] if rows else (0, 0)
print(json.dumps({"generation": generation, "marked": bool(marked)}), flush=True)
