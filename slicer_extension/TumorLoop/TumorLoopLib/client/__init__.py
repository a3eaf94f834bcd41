"""The client of the TumorLoop server. It needs only the standard library, so scripts can use it as well."""

from TumorLoopLib.client.caller import DEFAULT_MODEL
from TumorLoopLib.client.client import TumorLoopClient
from TumorLoopLib.client.segmentation_calls import InferResult, new_job_id

__all__ = ["DEFAULT_MODEL", "InferResult", "TumorLoopClient", "new_job_id"]
