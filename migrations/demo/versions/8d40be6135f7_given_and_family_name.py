"""given and family name

`customer.name` becomes two columns. A client built before this revision cannot work after it, nor the reverse.

Revision ID: 8d40be6135f7
Revises: 3f1c07a9d2b4
Create Date: 2024-05-17 16:40:09
"""

from alembic import op

revision = "8d40be6135f7"
down_revision = "3f1c07a9d2b4"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("ALTER TABLE customer ADD given_name text, ADD family_name text")
    op.execute("UPDATE customer SET given_name = split_part(name, ' ', 1), family_name = split_part(name, ' ', 2)")
    op.execute("ALTER TABLE customer ALTER given_name SET NOT NULL, ALTER family_name SET NOT NULL, DROP name")
    op.execute("CREATE INDEX customer_family_name ON customer (family_name, given_name)")


def downgrade():
    op.execute("ALTER TABLE customer ADD name text")
    op.execute("UPDATE customer SET name = given_name || ' ' || family_name")
    op.execute("ALTER TABLE customer ALTER name SET NOT NULL, DROP given_name, DROP family_name")
