"""Runs the documentation: every code block of README.md and docs/ does what its page says.

What a block has to be is decided by its language, and a language without a rule fails its page:

- `python`: runs, in the order of its page. Blocks with `title="name.py"` are modules of that name,
  the others share one namespace. Top-level `await` works, and every `test_…` function is run.
  One that names http://127.0.0.1:8000 or ws://… is a program of its own, with the document's `app`
  served.
- `js`: runs in Chromium, on a page of the server that serves the document's `app`; one that begins
  with an `import` runs in Node, unless it imports a file of that server.
- `html`: a page, shown in Chromium as if that server had it.
- `jsonc`: a conversation in frames, replayed on a real connection (`conversations.py`).
- `http`: a request to the served `app`, and the response it must get (`requests.py`).
- `console`: commands, each checked for what it is (`commands.py`); one that ends with `# fails`
  does, and says what stands in the block after it. So does the layout of the benchmarks.
- `ini`, `dockerfile`, `yaml`: a unit of systemd, an image, a Compose file; what is ours in them is
  run, without systemd and Docker (`serving.py`).
- `text`: what the block before it prints, logs or raises; `…` stands for anything.
- `nginx`, `caddy`: a proxy's configuration, run by `test_proxies.py`; one with a title belongs to
  the page's Compose file.
- `dart`, `java`, `swift`: clients that cannot be run here, on socketio.md only, which says so.
- `ts`: on client-javascript.md a program that has the right types; on pages named `coming-from-…`
  code of others, shown for comparison.
"""
