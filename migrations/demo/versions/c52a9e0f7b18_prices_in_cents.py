"""prices in cents

`purchase.price` becomes `purchase.cents`, an integer: the table is rewritten under an exclusive lock.

Revision ID: c52a9e0f7b18
Revises: 8d40be6135f7
Create Date: 2024-06-02 09:05:33
"""

from alembic import op

revision = "c52a9e0f7b18"
down_revision = "8d40be6135f7"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("ALTER TABLE purchase ALTER price TYPE bigint USING (price * 100)::bigint")
    op.execute("ALTER TABLE purchase RENAME price TO cents")
    op.execute("ALTER TABLE purchase ADD CHECK (cents >= 0)")
    op.execute("CREATE INDEX purchase_placed ON purchase (placed_at, cents)")


def downgrade():
    op.execute("DROP INDEX purchase_placed")
    op.execute("ALTER TABLE purchase DROP CONSTRAINT purchase_cents_check")
    op.execute("ALTER TABLE purchase RENAME cents TO price")
    op.execute("ALTER TABLE purchase ALTER price TYPE numeric(10, 2) USING price / 100.0")
