"""the shop

Revision ID: 3f1c07a9d2b4
Revises:
Create Date: 2024-03-04 10:12:41
"""

from alembic import op

revision = "3f1c07a9d2b4"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.execute("""
        CREATE TABLE customer (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL,
            email text NOT NULL UNIQUE
        )""")
    op.execute("""
        CREATE TABLE purchase (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            customer_id int NOT NULL REFERENCES customer,
            price numeric(10, 2) NOT NULL,
            placed_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX purchase_customer ON purchase (customer_id)")


def downgrade():
    op.execute("DROP TABLE purchase, customer")
