"""Users as rooms: servers of Socket.IO know no users, but many let everybody join such a room."""

from collections.abc import Iterable

from gatewright.errors import StartupError

__all__ = ["UserRooms"]


class UserRooms:
    """The rooms of users' names, `user:ana` for the pattern `user:{}`; none without a pattern."""

    def __init__(self, pattern: str | None) -> None:
        if pattern is not None and pattern.count("{}") != 1:
            raise StartupError(
                "SocketIORedis(user_room=…)",
                expected="a room's name with {} in the place of the user's, as user:{}",
                got=repr(pattern),
                fix="Write it so, or leave it out.",
            )
        self._given = pattern is not None
        self._before, _, self._after = (pattern or "").partition("{}")

    def rooms(self, users: Iterable[str]) -> list[str]:
        """The rooms of these users."""
        if not self._given:
            return []
        return [f"{self._before}{user}{self._after}" for user in users]

    def users(self, rooms: Iterable[str]) -> list[str]:
        """The users whose rooms are among these."""
        if not self._given:
            return []
        before, after = self._before, self._after
        shortest = len(before) + len(after)
        return [
            room[len(before) : len(room) - len(after)]
            for room in rooms
            if len(room) > shortest and room.startswith(before) and room.endswith(after)
        ]
