#!/bin/sh
# As much of https://github.com/docker-library/postgres as is used here: a new cluster, its database, and the
# scripts of /docker-entrypoint-initdb.d, by a server that only the Unix socket reaches.
set -eu
export PGDATA
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    initdb --username=postgres --auth-local=peer >/dev/null
    shift
    pg_ctl --wait --silent -o "$* -c listen_addresses=''" start
    createdb --username=postgres "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --no-psqlrc -v ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" --file="$script"
    done
    pg_ctl --wait --silent --mode=fast stop
    set -- postgres "$@"
fi
exec "$@"
