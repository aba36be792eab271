"""Between the domain's types and the contract's."""

import datetime as dt

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from video_queue.api.messages import timestamp


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_a_time_is_sent_as_protobuf_would_convert_it(time: dt.datetime) -> None:
    converted = Timestamp()
    converted.FromDatetime(time)
    assert timestamp(time) == converted
    assert timestamp(time).ToDatetime(dt.UTC) == time
