"""How much is too much: the limits, with the defaults of a server in a hospital department."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The limits of one server; each can be set by its name, ``--conf max_upload_mb=4096``.

    Attributes:
        max_upload_mb: MiB that the files of one request may take.
        max_body_kb: KiB of any other body.
        max_voxels: Voxels of a file that is sent, all its volumes together, after decompression.
        min_free_mb: MiB that must stay free on the workspace's disk when volumes are sent; what is left is for labels.
        max_requests: Requests under way at once, those that wait for an inference among them; three of four at the most
            may be such slow ones.
        max_connections: Connections open at once.
        max_connections_per_client: Connections open at once from one address; 0 for no limit of its own. Behind a
            reverse proxy all come from one address.
        header_seconds: Until the head of a request must be complete, from its first byte or the connection's begin.
        body_seconds: The server waits so long for a body in all, and longer only as the body grows.
        slowest_kb: By so many KiB a second it must grow after that.
        reply_seconds: Until a client must take the next part of a reply.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_upload_mb: float = Field(2048.0, gt=0)
    max_body_kb: float = Field(1024.0, gt=0)
    max_voxels: int = Field(2**27, gt=0)
    min_free_mb: float = Field(512.0, ge=0)
    max_requests: int = Field(64, gt=0)
    max_connections: int = Field(256, gt=1)
    max_connections_per_client: int = Field(64, ge=0)
    header_seconds: float = Field(15.0, gt=0)
    body_seconds: float = Field(20.0, gt=0)
    slowest_kb: float = Field(16.0, gt=0)
    reply_seconds: float = Field(60.0, gt=0)

    @classmethod
    def from_conf(cls, conf: Mapping[str, object]) -> Limits:
        """Read MONAI Label's configuration; other names are passed over.

        Raises:
            ValidationError: If a value cannot be used.
        """
        return cls.model_validate({name: conf[name] for name in cls.model_fields if name in conf})

    @classmethod
    def of_server(cls) -> Limits:
        """Return the limits of the server that runs in this process."""
        from monailabel.config import settings

        return cls.from_conf(settings.MONAI_LABEL_APP_CONF or {})

    @property
    def upload_bytes(self) -> int:
        """Most bytes of a request with files."""
        return int(self.max_upload_mb * 2**20)

    @property
    def min_free_bytes(self) -> float:
        """Bytes that must stay free on the workspace's disk when volumes are sent."""
        return self.min_free_mb * 2**20

    @property
    def body_bytes(self) -> int:
        """Most bytes of any other request."""
        return int(self.max_body_kb * 2**10)
