-- Who the queue is in the database: no password, since its certificate says so (pg_hba.conf, pg_ident.conf).
CREATE ROLE video_queue LOGIN;
ALTER DATABASE videos OWNER TO video_queue;
