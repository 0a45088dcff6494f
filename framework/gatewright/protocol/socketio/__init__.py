"""Socket.IO v5 on the wire: packets, attachments, and the codecs that handlers are served by."""
