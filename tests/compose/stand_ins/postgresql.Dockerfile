FROM python:3.13-slim
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql-17 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/17 \
    && install -d -m 1777 /var/lib/postgresql/data \
    && install -d -m 3777 /var/run/postgresql
ENV PATH=/usr/lib/postgresql/17/bin:$PATH
COPY postgresql.sh /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["sh", "/usr/local/bin/docker-entrypoint.sh"]
CMD ["postgres"]
