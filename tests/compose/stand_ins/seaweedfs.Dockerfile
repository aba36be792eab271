FROM python:3.13-slim
COPY weed /usr/bin/weed
COPY seaweedfs.sh /entrypoint.sh
RUN install -d -m 700 /data
WORKDIR /data
ENTRYPOINT ["sh", "/entrypoint.sh"]
