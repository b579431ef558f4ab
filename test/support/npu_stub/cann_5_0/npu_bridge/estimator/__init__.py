"""Stand-in for a package of the TF adapter; its modules lie in the folder of the form and in all_versions."""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
