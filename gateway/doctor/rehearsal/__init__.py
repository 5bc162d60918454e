"""`harmattan doctor --rehearse`: practise on this computer what must not be tried on the post.

Rules of the room
- A whole post of its own, as a child process: the real gateway, the real broker, the real disk. Its
  folder, its ports and its authority are its own; the post itself is not touched, running or not.
- Only the node is scripted, and it keeps to the protocol: what is not receipted is sent again.
- Everything is removed at the end, however it ends.
"""
