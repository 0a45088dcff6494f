"""All models of recovery, by name."""

from collections.abc import Mapping

from tests.recovery.models.batching import BATCHING
from tests.recovery.models.calls import CALLS
from tests.recovery.models.checker import Study
from tests.recovery.models.fencing import FENCING
from tests.recovery.models.lane_scopes import LANE
from tests.recovery.models.positions import POSITIONS
from tests.recovery.models.several import SEVERAL
from tests.recovery.models.tokens import TOKENS

__all__ = ["STUDIES"]

STUDIES: Mapping[str, Study] = {
    "lane": LANE,
    "positions": POSITIONS,
    "several": SEVERAL,
    "fencing": FENCING,
    "tokens": TOKENS,
    "calls": CALLS,
    "batching": BATCHING,
}
