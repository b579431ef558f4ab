"""Where it runs; its front room is albert/npu_session.py."""
