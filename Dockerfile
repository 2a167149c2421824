# distill on a CPU:
#   docker build -t distill .
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" distill train --config lit_resnet.yaml
# Runs appear in the folder that is mounted as /work; data go there too, or into another
# mounted folder that DISTILL_DATA names (-v DATA:/data -e DISTILL_DATA=/data).
FROM python:3.12-slim

# Whoever the container runs as may write here: what Keras downloads, and what is kept
# between runs of one container.
ENV HOME=/tmp PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

COPY . /opt/distill
RUN pip install /opt/distill

WORKDIR /work
ENTRYPOINT ["distill"]
CMD ["--help"]
