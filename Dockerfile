# syntax=docker/dockerfile:1
# Images for the three places where llm-keras runs:
#
#   docker build --target train       -t llm-keras-train .
#   docker build --target beam-worker -t llm-keras-beam-worker .
#   docker build --target serve       -t llm-keras-serve .
#
# Every package comes from requirements/ with its hash. None of the images runs as root, and `train`
# and `serve` run with a read-only root file system: docker run --read-only --tmpfs /tmp ...

FROM python:3.11-slim-bookworm AS package
WORKDIR /source
# The build tool alone, out of the lock file that has it: its entry ends where no line continues.
COPY requirements/all.txt /tmp/all.txt
RUN sed -n '/^setuptools==/,/[^\\]$/p' /tmp/all.txt > /tmp/build.txt \
    && pip install --no-cache-dir --require-hashes -r /tmp/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY llm_keras llm_keras
COPY pipelines pipelines
COPY serving serving
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

# The whole path on one machine: curate, tokenize, train, evaluate, export.
FROM python:3.11-slim-bookworm AS train-packages
RUN python -m venv /opt/llm-keras
ENV PATH=/opt/llm-keras/bin:$PATH
COPY requirements/curate.txt requirements/train.txt requirements/serve.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/curate.txt \
    && pip install --no-cache-dir --require-hashes -r /tmp/train.txt \
    && pip install --no-cache-dir --require-hashes -r /tmp/serve.txt
COPY --from=package /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl

FROM python:3.11-slim-bookworm AS train
COPY --from=train-packages /opt/llm-keras /opt/llm-keras
COPY configs /work/configs
COPY examples /work/examples
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin llm \
    && mkdir /work/runs && chown llm /work/runs
ENV PATH=/opt/llm-keras/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KERAS_HOME=/tmp/keras \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001
WORKDIR /work
VOLUME /work/runs
ENTRYPOINT ["llm-keras"]
CMD ["--help"]

# A Beam worker that has the pipeline's packages already, as Beam documents custom containers; the
# tag is the version of apache-beam in requirements/curate.txt.
FROM apache/beam_python3.11_sdk:2.77.0 AS beam-worker
COPY requirements/curate.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/curate.txt
COPY --from=package /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin beam
# Otherwise the worker starts by making a virtual environment in a folder that only root may write.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER 10001
ENTRYPOINT ["/opt/apache/beam/boot"]

# The embedded server. Mount the export folder at /models/model and give an API key:
#   docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8501:8501 -e LLM_KERAS_API_KEY \
#       --mount type=bind,source="$PWD/runs/quickstart/export",target=/models/model,readonly \
#       llm-keras-serve
FROM python:3.11-slim-bookworm AS serve-packages
RUN python -m venv /opt/llm-keras
ENV PATH=/opt/llm-keras/bin:$PATH
COPY requirements/serve.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/serve.txt
COPY --from=package /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl

FROM python:3.11-slim-bookworm AS serve
COPY --from=serve-packages /opt/llm-keras /opt/llm-keras
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin llm
ENV PATH=/opt/llm-keras/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /models
EXPOSE 8501
# The server listens once its model is loaded, so a connection means that it is ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8501), 3).close()"]
# Within docker stop's default of 10 seconds; give --stop-timeout and --drain-seconds for more.
ENTRYPOINT ["python", "-m", "serving", "--host=0.0.0.0", "--port=8501", "--model-base-path=/models/model", "--drain-seconds=8"]
