"""A Ray cluster of this machine, for tests."""

import os
from contextlib import contextmanager


@contextmanager
def cluster(num_cpus=2):
    """Start Ray in this process, and yield the address. Parts are small, and signs come often."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    def small():
        from vidmoco.features import claims, dataset, dataset_writer

        dataset.PART_BYTES, dataset_writer._LONG, dataset_writer._SECONDS = 24_000, 12_000, 0.0
        claims._BETWEEN_SIGNS = 0.2

    environment = {"worker_process_setup_hook": small}
    ray.init(num_cpus=num_cpus, include_dashboard=False, log_to_driver=False,
             logging_level="ERROR", runtime_env=environment)  # fmt: skip
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()
