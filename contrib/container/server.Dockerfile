# coffer-server in a container. From the root of the repository, after `make wheel` with the same Python:
#
#     docker build -f contrib/container/server.Dockerfile -t coffer-server .
#
# No key and no definition is ever part of an image: compose.yaml shows how they get in, and why the flags.

FROM python:3.11-slim-bookworm AS build
COPY dist/coffer-*.whl /tmp/
RUN python -m venv /opt/coffer && /opt/coffer/bin/pip install --no-cache-dir /tmp/coffer-*.whl

FROM python:3.11-slim-bookworm
COPY --from=build /opt/coffer /opt/coffer
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin coffer \
 && install -d -o coffer -g coffer -m 0700 /run/coffer /var/lib/coffer
USER 10001
ENV PATH=/opt/coffer/bin:$PATH RUNTIME_DIRECTORY=/run/coffer STATE_DIRECTORY=/var/lib/coffer
EXPOSE 26333
STOPSIGNAL SIGTERM
# Of all signals only these three mean something to it: HUP reloads, TERM and INT let sessions end.
ENTRYPOINT ["coffer-server"]
CMD ["--settings", "/etc/coffer/server.toml", "--key", "/run/secrets/server.key"]
