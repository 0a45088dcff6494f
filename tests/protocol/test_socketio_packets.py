"""Packets of Socket.IO v5: what is one, what is not, and what its parts are."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from gatewright.protocol.socketio.packets import (
    MAX_ATTACHMENTS,
    JsonDecoder,
    Packet,
    PacketError,
)

PLACEHOLDER = '{"_placeholder":true,"num":0}'


def read(*messages: str | bytes) -> Packet:
    """The one packet that these messages are."""
    decoder = JsonDecoder()
    *before, last = messages
    for each in before:
        assert decoder.add(each) is None
    packet = decoder.add(last)
    assert packet is not None
    return packet


def arguments(packet: Packet) -> list[Any]:
    found = cast(list[Any], packet.data)
    return [msgspec.json.decode(each) if isinstance(each, Raw) else each for each in found]


def refused(*messages: str | bytes) -> str:
    """Why the last of these messages is refused, in words that say something."""
    decoder = JsonDecoder()
    *before, last = messages
    for each in before:
        decoder.add(each)
    with pytest.raises(PacketError) as caught:
        decoder.add(last)
    assert str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "id", "event", "data"),
    [
        ('2["a"]', 2, "/", UNSET, "a", []),
        ('2["a",1,"b",{"c":[null]}]', 2, "/", UNSET, "a", [1, "b", {"c": [None]}]),
        ('2/chat,["a"]', 2, "/chat", UNSET, "a", []),
        ('212["a"]', 2, "/", 12, "a", []),
        ('2/chat,0["a"]', 2, "/chat", 0, "a", []),
        ('2/lab/7,3["a",{"x,y":"[/,"}]', 2, "/lab/7", 3, "a", [{"x,y": "[/,"}]),
        ('2/a b?c=d&e,["a"]', 2, "/a b?c=d&e", UNSET, "a", []),
        ('2/,["a"]', 2, "/", UNSET, "a", []),
        ('2[""]', 2, "/", UNSET, "", []),
        ("2[7]", 2, "/", UNSET, "7", []),
        ("2[1.5]", 2, "/", UNSET, "1.5", []),
        ('2 ["a"]', None, "", None, "", []),
        ('2[ "a" , 1 ]', 2, "/", UNSET, "a", [1]),
        (f'2{2**53 - 1}["a"]', 2, "/", 2**53 - 1, "a", []),
        ('2007["a"]', 2, "/", 7, "a", []),
        ("31[]", 3, "/", 1, UNSET, []),
        ('3/chat,12["x",null]', 3, "/chat", 12, UNSET, ["x", None]),
        ('50-["a"]', 2, "/", UNSET, "a", []),
        ('50-/chat,3["a",1]', 2, "/chat", 3, "a", [1]),
        ("60-1[]", 3, "/", 1, UNSET, []),
    ],
)
def test_events_and_answers(
    text: str, kind: int | None, namespace: str, id: Any, event: Any, data: list[Any]
) -> None:
    if kind is None:
        refused(text)
        return
    packet = read(text)
    assert (packet.type, packet.namespace, packet.id, packet.event) == (kind, namespace, id, event)
    assert arguments(packet) == data


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "data"),
    [
        ("0", 0, "/", None),
        ("0{}", 0, "/", {}),
        ('0{"token":"1"}', 0, "/", {"token": "1"}),
        ("0/chat", 0, "/chat", None),
        ("0/chat,", 0, "/chat", None),
        ('0/chat,{"a":[1]}', 0, "/chat", {"a": [1]}),
        ("1", 1, "/", None),
        ("1/chat", 1, "/chat", None),
        ("1/chat,", 1, "/chat", None),
    ],
)
def test_coming_and_leaving(text: str, kind: int, namespace: str, data: Any) -> None:
    packet = read(text)
    assert (packet.type, packet.namespace, cast(Any, packet.data)) == (kind, namespace, data)


def test_a_packet_may_begin_anywhere() -> None:
    for text in ('2["a",1]', '2/chat,5["a",1]', "0", '0/chat,{"a":1}', "31[1]"):
        decoder = JsonDecoder()
        first, second = decoder.add(text), decoder.add("4" + text, 1)
        assert first == second


def test_attachments_take_their_places() -> None:
    second = PLACEHOLDER.replace("0", "1")
    packet = read(f'52-/chat,7["a",{second},{{"x":[{PLACEHOLDER},0]}}]', b"zero", b"one")
    assert (packet.type, packet.namespace, packet.id, packet.event) == (2, "/chat", 7, "a")
    assert arguments(packet) == [b"one", {"x": [b"zero", 0]}]


def test_attachments_of_an_answer() -> None:
    packet = read(f"61-3[{PLACEHOLDER}]", b"x")
    assert (packet.type, packet.id, arguments(packet)) == (3, 3, [b"x"])


def test_a_decoder_reads_on_after_attachments() -> None:
    decoder = JsonDecoder()
    for number in range(3):
        assert decoder.add(f'51-["a",{PLACEHOLDER}]') is None
        packet = decoder.add(b"%d" % number)
        assert packet is not None
        assert arguments(packet) == [b"%d" % number]
        packet = decoder.add('2["b"]')
        assert packet is not None
        assert packet.event == "b"


@pytest.mark.parametrize("count", range(MAX_ATTACHMENTS + 1))
def test_as_many_attachments_as_there_may_be(count: int) -> None:
    places = ",".join(PLACEHOLDER.replace("0", str(number)) for number in range(count))
    text = f'5{count}-["a",[{places}]]'
    blobs = [bytes([number]) for number in range(count)]
    assert arguments(read(text, *blobs)) == [blobs]


@pytest.mark.parametrize(
    "number", ["11", "99", "100", "1000", "9" * 5000, "", "-1", "1.5", "0x1", " 1", "١", "²"]
)
def test_too_many_attachments_or_no_number(number: str) -> None:
    refused(f'5{number}-["a"]')


@pytest.mark.parametrize("id", [2**53, 2**63, 2**64, 10**16, 10**19, 10**20, 10**4000])
@pytest.mark.parametrize("text", ['2%d["a"]', '2/chat,%d["a"]', "3%d[]", '50-%d["a"]', "60-%d[]"])
def test_ids_that_javascript_cannot_count_to(id: int, text: str) -> None:
    digits = "1" + "0" * 4000 if id == 10**4000 else str(id)
    assert "2**53 - 1" in refused(text.replace("%d", digits)) or "digits" in refused(
        text.replace("%d", digits)
    )


@pytest.mark.parametrize(
    "name",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
def test_names_of_the_framework_are_reserved(name: str) -> None:
    for text in (f'2["{name}"]', f'2/chat,1["{name}",{{}}]', f'50-["{name}"]'):
        assert "reserved" in refused(text)
    assert "reserved" in refused(f'2["\\u{ord(name[0]):04x}{name[1:]}"]')
    # Whoever means something else may say it.
    assert read(f'2["{name}s"]').event == f"{name}s"
    assert read(f'2["{name.upper()}"]').event == name.upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "9",
        "x",
        "٢[]",
        "²",
        "2",
        "2{}",
        "2[]",
        "2[null]",
        "2[true]",
        "2[[]]",
        "2[{}]",
        '2"a"',
        "2[,]",
        '2["a"',
        '2["a"]]',
        '2["a"] 1',
        '2["a",]',
        "2['a']",
        "2[a]",
        '2["a",NaN]',
        '2["a",Infinity]',
        '2["a",01]',
        '2["\x01"]',
        '21-["a"]',
        '2-1["a"]',
        '2+1["a"]',
        '21.0["a"]',
        '21e1["a"]',
        '2１["a"]',
        '2/chat["a"]',
        "2/chat,",
        "2/chat",
        "2,",
        '2,["a"]',
        '2chat,["a"]',
        "3",
        "3[]",
        "3/chat,[]",
        "31",
        "31{}",
        "31null",
        "0[]",
        "0null",
        '0"a"',
        "01{",
        "0{",
        "1{}",
        "1null",
        "1[]",
        "0/chat,[]",
        "5",
        "5-",
        '5["a"]',
        '51["a"]',
        "50-",
        "50-{}",
        "50-null",
        "50-[]",
        "50-[",
        "60-[]",
        "6",
    ],
)
def test_what_is_no_packet(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "text", ['2["\ud800"]', '2["a","\ud800"]', '0{"a":"\ud800"}', "31[\ud800]"]
)
def test_surrogates_are_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("depth", [2000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("text", ['2["a",%s]', '50-["a",%s]', "0{%s}", "31[%s]", '2[%s,"a"]'])
def test_nesting_has_an_end(text: str, opening: str, closing: str, depth: int) -> None:
    nested = opening * depth + "1" + closing * depth
    if text.startswith("0"):
        nested = f'"a":{nested}'
    assert "deep" in refused(text % nested)


@pytest.mark.parametrize("other", ['2["a"]', "1", "0", f'51-["a",{PLACEHOLDER}]', "", "x"])
def test_text_while_an_attachment_is_missing(other: str) -> None:
    assert "attachment" in refused(f'52-["a",{PLACEHOLDER}]', b"x", other)


@pytest.mark.parametrize(
    "before", [[], ['2["a"]'], ['50-["a"]'], [f'51-["a",{PLACEHOLDER}]', b"x"]]
)
def test_an_attachment_of_no_packet(before: list[str | bytes]) -> None:
    assert "attachment" in refused(*before, b"x")


@pytest.mark.parametrize(
    "packet",
    [
        '51-["a",{"_placeholder":true}]',
        '51-["a",{"_placeholder":true,"num":1}]',
        '51-["a",{"_placeholder":true,"num":-1}]',
        '51-["a",{"_placeholder":true,"num":"0"}]',
        f"51-[{PLACEHOLDER}]",
        f"51-{PLACEHOLDER}",
        '51-{"a":1}',
        "51-[",
        "51-",
        f'51-["connect",{PLACEHOLDER}]',
        f"61-[{PLACEHOLDER}]",
    ],
)
def test_what_is_no_packet_once_it_is_whole(packet: str) -> None:
    refused(packet, b"x")


def test_a_key_that_comes_twice_is_the_last() -> None:
    packet = read(f'51-["a",{{"x":1,"x":{PLACEHOLDER}}}]', b"x")
    assert arguments(packet) == [{"x": b"x"}]


packets = st.from_regex(r"[0-6]([0-9]{1,2}-)?(/[a-z]*,?)?[0-9]{0,3}(\[.*|\{.*)?", fullmatch=True)


@given(st.lists(st.text() | packets | st.binary(max_size=5), max_size=6))
def test_anything_is_a_packet_or_refused(messages: list[str | bytes]) -> None:
    decoder = JsonDecoder()
    for message in messages:
        try:
            packet = decoder.add(message)
        except PacketError:
            # The session ends with it.
            return
        if packet is not None:
            check(packet)


def check(packet: Packet) -> None:
    """What those who take packets rely upon."""
    data = cast(Any, packet.data)
    assert packet.type in {0, 1, 2, 3, 4}
    assert packet.namespace.startswith("/")
    assert packet.op is UNSET
    assert packet.id is UNSET or 0 <= packet.id < 2**53
    if packet.type == 2:
        assert isinstance(packet.event, str)
        assert isinstance(data, list)
    elif packet.type == 3:
        assert packet.event is UNSET
        assert isinstance(packet.id, int)
        assert isinstance(data, list)
    elif packet.type == 0:
        assert data is None or isinstance(data, dict)
