# A program that gets its secrets when its container starts. From the root of the repository, after `make wheel`:
#
#     docker build -f contrib/container/app.Dockerfile -t web .
#
# COFFER_SERVER and the key come with the container (compose.yaml), the secrets from the server: none is in the image,
# none in `docker inspect`, none in the settings of whatever starts containers.

FROM python:3.11-slim-bookworm
COPY dist/coffer-*.whl /tmp/
RUN python -m venv /opt/coffer && /opt/coffer/bin/pip install --no-cache-dir /tmp/coffer-*.whl && rm /tmp/coffer-*.whl
USER 10002
ENV COFFER_KEY=/run/secrets/web.key
# It becomes the program, which is then process 1 and gets every signal itself.
ENTRYPOINT ["/opt/coffer/bin/coffer-client", "run", "--"]
CMD ["python", "-m", "http.server", "8080"]
