"""S3 on loopback: moto's server, one for all tests of a module."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer


@dataclass
class Storage:
    """``environ`` is what the AWS tools would need to reach it, ``client`` what fills it."""

    environ: dict[str, str]
    client: Any

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        for key, body in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def bucket(self, name: str, objects: Mapping[str, bytes]) -> str:
        self.client.create_bucket(Bucket=name)
        self.put(name, objects)
        return name


@contextmanager
def storage() -> Iterator[Storage]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # what it holds is the process's, not the server's
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1"}
    environ = {**keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "HOME": "/nowhere"}
    client = boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test-secret",
        region_name="us-east-1",
    )
    try:
        yield Storage(environ, client)
    finally:
        client.close()
        server.stop()
