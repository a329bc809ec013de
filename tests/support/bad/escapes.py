"""Queries that try to leave a sandbox, to write, or to take all that a machine has."""

from __future__ import annotations

from pathlib import Path

SECRET = "the-secret-of-this-machine"


def secrets_outside(parent: Path) -> Path:
    """A folder of files that no query in a sandbox may read."""
    folder = parent / "outside"
    folder.mkdir()
    for name in ("secret.csv", "secret.json", "secret.txt"):
        (folder / name).write_text(f'"{SECRET}"\n')
    return folder


# {o}: a folder outside the dataset with a secret; {d}: the dataset.
READS_OUTSIDE = [
    "from read_csv('{o}/secret.csv', header = false)",
    "from read_csv_auto('{o}/secret.csv')",
    "from read_text('{o}/secret.txt')",
    "from read_blob('{o}/secret.txt')",
    "from read_json('{o}/secret.json')",
    "from read_ndjson_objects('{o}/secret.json')",
    "from sniff_csv('{o}/secret.csv')",
    "from '{o}/secret.csv'",
    'from "{o}/secret.csv"',
    "from '{d}/../outside/secret.csv'",
    "from read_text('{d}/link.txt')",
    "from read_text('{d}/views/../../outside/secret.txt')",
    "from read_text('file://{o}/secret.txt')",
    "from query_table('{o}/secret.csv')",
    "from query('from read_text(''{o}/secret.txt'')')",
    "from glob('{o}/*')",
    "from glob('/etc/*')",
    "from read_text('/etc/passwd')",
    "from read_text('/proc/self/environ')",
    "from parquet_metadata('{o}/secret.csv')",
    "from parquet_schema('{o}/secret.csv')",
    "from read_parquet('http://127.0.0.1:9/secret.parquet')",
    "from read_csv('https://example.com/secret.csv')",
    "from read_parquet('s3://bucket/secret.parquet')",
    "from read_duckdb('{o}/secret.db')",
    "from sqlite_scan('{o}/secret.db', 'secrets')",
    "from postgres_scan('host=127.0.0.1', 'public', 'secrets')",
    "select getenv('HEADSWAP_SECRET')",
    "select content from read_text('{o}/secret.txt') where 1 = (select count(*) from prompts)",
    "with secret as (from read_text('{o}/secret.txt')) select content from secret",
    "from secret",  # a variable of this test
    "from duckdb_secrets()",
    "from which_secret('s3://x', 's3')",
]
WRITES = [
    "copy (select 1) to '{o}/new.csv'",
    "copy prompts to '{d}/prompts.parquet'",
    "with x as (copy (select 1) to '{o}/new.csv') select 1",
    "with x as (copy (select 1) to '{d}/prompts.parquet') from x",
    "explain analyze copy (select 1) to '{o}/new.csv'",
    "explain analyze with x as (copy (select 1) to '{o}/new.csv') select 1",
    "/* explain */ explain /* a */ analyze copy (select 1) to '{o}/new.csv'",
    "export database '{o}/export'",
    "attach '{o}/new.db'",
    "attach '{d}/new.db' as other",
    "create table '{o}/x' as select 1",
    "create table x as select 1",
    "create secret (type s3)",
    "create macro profiles() as 1",
    "drop view profiles",
    "with x as (insert into parameters select * from parameters returning *) from x",
    "with x as (delete from parameters returning *) select 1",
    "with x as (update parameters set bins = 3 returning *) select bins from x",
    "insert into parameters select * from parameters",
    "update parameters set bins = 3",
    "delete from parameters",
    "truncate parameters",
    "alter table parameters drop column bins",
    "install httpfs",
    "load httpfs",
    "load '{o}/secret.so'",
    "set memory_limit = '1TB'",
    "set enable_external_access = true",
    "reset memory_limit",
    "pragma enable_profiling",
    "pragma threads = 64",
    "call enable_logging()",
    "select * from enable_logging(storage = 'file', storage_path = '{o}/log')",
    "select * from enable_profiling(save_location = '{o}/profile.json')",
    "call pragma_version()",
    "import database '{o}'",
    "use memory",
    "begin",
    "checkpoint",
    "vacuum",
    "prepare x as select 1",
    "select 1; copy (select 1) to '{o}/new.csv'",
    "select 1; drop view profiles",
    "detach memory",
]
EXHAUSTS = [
    "select count(*) from range(100000000) a, range(100000000) b",
    "with recursive r as (select 1::hugeint as n union all select n + 1 from r) from r",
    "select count(*) from attention a, attention b, attention c, attention d, attention e",
    "select sum(sqrt(a.range * b.range)) from range(10000000000) a, range(1000) b",
]
FILLS = [
    "select repeat('x', 4000000000)",
    "select list(range) from range(2000000000)",
    "select string_agg(md5(range::varchar)) from range(1000000000)",
    "select * from range(3000000000) order by hash(range)",
    "select " + "(" * 20000 + "1" + ")" * 20000,
    "select " + "1 + " * 100000 + "1",
    "select * from attention, range(1000000)",
]
