"""Pre-training of Chinese ALBERT: the library. Programs around it live in `tools/`."""

from albert.common import address_space

address_space.check('numpy')  # before anything imports it
