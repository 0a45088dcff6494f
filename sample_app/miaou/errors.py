"""What can go wrong in Miaou. Code and sentence reach the page, so the sentences are for people."""

__all__ = [
    "AlreadyRegistered",
    "Invalid",
    "MiaouError",
    "NicknameTaken",
    "NoSuchPerson",
    "NoSuchRoom",
    "NotAMember",
    "RoomTaken",
    "TooManyRooms",
]


class MiaouError(Exception):
    """The base of all of them; `code` is for programs, the text for people."""

    code = "miaou"


class Invalid(MiaouError):
    """A nickname, a room's name or a text that cannot be accepted as it is."""

    code = "invalid"


class NicknameTaken(MiaouError):
    code = "taken"

    def __init__(self, nickname: str) -> None:
        super().__init__(f"“{nickname}” is here already. Please choose another nickname.")


class AlreadyRegistered(MiaouError):
    code = "registered"

    def __init__(self, nickname: str) -> None:
        super().__init__(f"You are “{nickname}” on this connection already.")


class RoomTaken(MiaouError):
    code = "taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a room “{name}” already.")


class TooManyRooms(MiaouError):
    code = "too_many"

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} rooms already. Please use one of them.")


class NoSuchRoom(MiaouError):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("This room does not exist.")


class NoSuchPerson(MiaouError):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("Nobody here has ever been that person.")


class NotAMember(MiaouError):
    code = "forbidden"

    def __init__(self) -> None:
        super().__init__("Please join this room first.")
