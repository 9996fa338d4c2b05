# Keyp in a container: docker build -t keyp . && docker run -p 127.0.0.1:6377:6377 -v keyp-data:/data keyp
#
# There is no password yet: publish the port to the loopback address or to a network of containers, never to the world.

FROM python:3.13-slim AS build
# A compiler for what has no wheel for this platform; it stays behind in this stage.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/keyp
WORKDIR /src
COPY . .
# pip shows how far the compiler is only where it is told to be verbose.
# The call of twistd writes the cache of plugins, which the user of the next stage could not.
RUN /opt/keyp/bin/pip install --no-cache-dir --verbose . \
    && /opt/keyp/bin/twistd --help > /dev/null \
    && /opt/keyp/bin/keyp --version

FROM python:3.13-slim
RUN useradd --system --uid 6377 --no-create-home --shell /usr/sbin/nologin keyp \
    && install -d -m 0700 -o keyp -g keyp /data
COPY --from=build /opt/keyp /opt/keyp
ENV PATH=/opt/keyp/bin:$PATH PYTHONUNBUFFERED=1
USER keyp
WORKDIR /data
VOLUME /data
EXPOSE 6377
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 6377), 2); s.sendall(b'PING\\r\\n'); assert s.recv(7) == b'+PONG\\r\\n'"]
ENTRYPOINT ["keyp", "--host", "0.0.0.0", "--data-dir", "/data"]
