"""Miaou, a chat: rooms, history, typing, who is here, private messages.

`models` say what there is, `repositories` keep it in SQLite, `services` hold the rules, `gateway`
is what a browser talks to, `module` wires them, `page` is what a browser shows.
"""
