#!/usr/bin/env bash
# Serves an export folder by stock TensorFlow Serving, with labels and monitoring.
#
#     serving/tf_serving/run.sh runs/quickstart/export
#
# REST on 8501, gRPC on 8500, this machine only: TensorFlow Serving has no API keys.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export_folder=$(cd "${1:?usage: run.sh EXPORT_FOLDER}" && pwd)

# Generation takes longer than the 30 seconds that REST requests get by default.
# A label may name a version that is still loading at start, hence the last flag.
exec docker run --rm --name llm-keras-tf-serving \
    --publish 127.0.0.1:8501:8501 --publish 127.0.0.1:8500:8500 \
    --mount "type=bind,source=$export_folder,target=/models/model,readonly" \
    --mount "type=bind,source=$here,target=/config,readonly" \
    tensorflow/serving:2.20.0 \
    --model_config_file=/config/models.config \
    --model_config_file_poll_wait_seconds=60 \
    --monitoring_config_file=/config/monitoring.config \
    --rest_api_timeout_in_ms=300000 \
    --allow_version_labels_for_unavailable_models=true
