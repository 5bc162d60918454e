"""`harmattan doctor`: what is wrong with this post, why, and what to do about it.

Rules of the room
- A check is one function with `@check` in a module of `checks/`: it gets the `Scene`, looks, and
  gives one `Found` or several. docs/doctor.md has a section for it; a test holds both together.
- Nothing of the post is written, whatever is found. Only `--rehearse` writes, in a folder apart.
- What a check says passes `Redaction`: addresses are cut to their host, control characters go.
"""
