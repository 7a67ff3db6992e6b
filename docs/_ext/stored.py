"""What Sphinx learns while it writes pages, stored with what it read: `docs/build.py --serve` would forget it.

The search finds a glossary's words by entries that are gathered while pages are written. Sphinx stores what it
knows before that, so a second build, of changed pages alone, would write an index without the entries of all others.
"""

import pickle

from sphinx.application import ENV_PICKLE_FILENAME


def store(app, error):
    if error is None:
        vars(app.env).pop("master_doctree", None)  # or the next build shows the contents of this one
        with open(app.doctreedir / ENV_PICKLE_FILENAME, "wb") as file:
            pickle.dump(app.env, file, pickle.HIGHEST_PROTOCOL)


def setup(app):
    app.connect("build-finished", store)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
