"""The settings of store and forward, as a part of `settings.Settings`; nothing of them matters in relay mode."""

from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, Field

from dimse_proxy.config.values import (
    Bytes,
    Count,
    Delivery,
    DeliveryOrUnset,
    Domain,
    Domains,
    Flag,
    Number,
    QueueChunkSize,
    Replicas,
    Seconds,
    SecondsOrOff,
)


class QueueSettings(BaseModel):
    """What is queued, where, and for how long."""

    delivery: Delivery = Field(default="relay", validation_alias="DIMSE_DELIVERY")
    """What becomes of storage associations that are accepted here."""
    delivery_in: DeliveryOrUnset = Field(default=None, validation_alias="DIMSE_DELIVERY_IN")
    """Whether this side delivers what the other side has queued for it; None: as `delivery`."""
    queue_domain: Domain = Field(default="", validation_alias="DIMSE_QUEUE_DOMAIN")
    """JetStream domain that stores what is accepted here; empty for that of the connected server."""
    queue_domains_in: Domains = Field(
        default_factory=lambda: MappingProxyType({}), validation_alias="DIMSE_QUEUE_DOMAIN_IN"
    )
    """JetStream domain that stores what another side accepts for this one, by channel; `` for those not named."""
    queue_max_bytes: Bytes = Field(default=10 * 1024**3, validation_alias="DIMSE_QUEUE_MAX_BYTES")
    """Bytes of chunks in the queue."""
    queue_replicas: Replicas = Field(default=1, validation_alias="DIMSE_QUEUE_REPLICAS")
    """Replicas of the streams."""
    queue_creates_streams: Flag = Field(default=True, validation_alias="DIMSE_QUEUE_CREATE_STREAMS")
    """Whether streams that are missing are made."""
    queue_chunk_size: QueueChunkSize = Field(default=640 * 1024, validation_alias="DIMSE_QUEUE_CHUNK_SIZE")
    """Bytes of a data set in one message: a CT image of 512 KiB, with its header, is one."""
    queue_store_timeout: Seconds = Field(default=30.0, validation_alias="DIMSE_QUEUE_STORE_TIMEOUTSECONDS")
    """Seconds that an SCU waits for JetStream before it is told A700."""
    queue_disk_path: Path | None = Field(default=None, validation_alias="DIMSE_QUEUE_DISK_PATH")
    """A folder on the disk of the streams, where that is on this machine."""
    queue_min_free_bytes: Bytes = Field(default=1024**3, validation_alias="DIMSE_QUEUE_MIN_FREE_BYTES")
    """Bytes that stay free on that disk."""
    queue_requires_target: Flag = Field(default=False, validation_alias="DIMSE_QUEUE_REQUIRES_TARGET")
    """Whether an association is only queued while the target accepts one too."""
    queue_refresh: Seconds = Field(default=3600.0, validation_alias="DIMSE_QUEUE_REFRESH_TIMEOUTSECONDS")
    """Seconds after which the target is asked anew what it accepts."""
    queue_commitment: Seconds = Field(default=20.0, validation_alias="DIMSE_QUEUE_COMMITMENT_TIMEOUTSECONDS")
    """Seconds that a request for storage commitment waits for what its asker has queued."""
    queue_associations: Number = Field(default=4, validation_alias="DIMSE_QUEUE_ASSOCIATIONS")
    """Associations with the target at the same time."""
    queue_idle_timeout: Seconds = Field(default=30.0, validation_alias="DIMSE_QUEUE_IDLE_TIMEOUTSECONDS")
    """Seconds to wait for more objects of an association that goes on."""
    queue_response_timeout: Seconds = Field(default=300.0, validation_alias="DIMSE_QUEUE_RESPONSE_TIMEOUTSECONDS")
    """Seconds for the target's C-STORE-RSP."""
    queue_retry: Seconds = Field(default=5.0, validation_alias="DIMSE_QUEUE_RETRY_TIMEOUTSECONDS")
    """Seconds after the first failure; each further pause is twice as long."""
    queue_max_retry: Seconds = Field(default=600.0, validation_alias="DIMSE_QUEUE_MAX_RETRY_TIMEOUTSECONDS")
    """Seconds that no pause exceeds."""
    queue_max_tries: Count = Field(default=50, validation_alias="DIMSE_QUEUE_MAX_TRIES")
    """Times that one object is sent before it is a dead letter; 0 for no limit."""
    queue_max_age: SecondsOrOff = Field(default=10 * 86400.0, validation_alias="DIMSE_QUEUE_MAX_AGE_TIMEOUTSECONDS")
    """Seconds after which an object that could not be delivered is a dead letter; 0 for no limit."""

    @property
    def forwards(self) -> bool:
        """What the other side has queued is delivered here."""
        return (self.delivery_in or self.delivery) == "store-and-forward"

    def domain_in(self, channel: str) -> str:
        """Return the JetStream domain that stores what a channel accepts for this side; empty: the server's own."""
        return self.queue_domains_in.get(channel) or self.queue_domains_in.get("", "")
