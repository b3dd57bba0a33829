"""A Django project of one file. `manage.py heads` prints what an app built from these files would declare: to the reader
`django` the leaves of its graph, to `django-digest` the digest of all its migrations."""

import hashlib
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "shop"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
                           "USER": os.environ["PGUSER"], "NAME": os.environ["PGDATABASE"]}},
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

if sys.argv[1] == "heads":
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    print("+".join(sorted(f"{app}.{name}" for app, name in loader.graph.leaf_nodes())))
    names = sorted(loader.disk_migrations)
    print(hashlib.md5("\n".join(f"{app}.{name}" for app, name in names).encode()).hexdigest())
else:
    execute_from_command_line(sys.argv)
