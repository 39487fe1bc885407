"""Serve models on a Ray cluster: the application of `vit serve`, with replicas on its machines.

    uv run --with 'ray[serve]' tools/serve_on_ray.py MODEL [MODEL ...]

Every machine must reach the models under the same path. Ctrl-C ends it.
"""

import sys

from ray import serve

import vit


def deployed(models: list[str], replicas: int = 1, cpus: float = 1) -> serve.Application:
    """Return the application that `serve.run` deploys: so many replicas, of so many processors each."""

    def application():  # is called in every replica
        return vit.application(models, host="0.0.0.0")

    # As many requests at once as fill two batches; Ray's own 5 would keep batches small.
    options = {"num_replicas": replicas, "max_ongoing_requests": 64, "ray_actor_options": {"num_cpus": cpus}}
    return serve.deployment(serve.ingress(application)(), **options).bind()


if __name__ == "__main__":
    serve.run(deployed(sys.argv[1:]), blocking=True)
