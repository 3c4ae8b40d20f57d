"""A store that machines share: objects of a bucket behind a store on this machine."""

from rag.store.shared.bucket import Bucket
from rag.store.shared.store import SharedStore
from rag.store.shared.transfer import Transferred, pull, push

__all__ = ["Bucket", "SharedStore", "Transferred", "pull", "push"]
