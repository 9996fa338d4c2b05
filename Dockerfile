# Keyp in a container: docker build -t keyp . && docker run -p 127.0.0.1:6377:6377 -v keyp-data:/data keyp
#
# Without a password everybody who reaches the port may do everything: publish it to the loopback address or to a network
# of containers, or mount an ACL file and end the command with --aclfile /path/in/the/container.

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
    CMD ["python", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 6377), 2); s.sendall(b'PING\\r\\n'); assert s.recv(7) in (b'+PONG\\r\\n', b'-NOAUTH')"]
# Who connects from outside of the container comes from another machine, so protected mode would refuse everybody.
ENTRYPOINT ["keyp", "--host", "0.0.0.0", "--protected-mode", "no", "--data-dir", "/data"]
